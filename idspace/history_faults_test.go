package idspace_test

import (
	"errors"
	"testing"

	"flamingo/idspace"
)

// The machines of this file are registries with one fault each.

// rewinding lowers last whenever a life ends.
type rewinding struct{ *idspace.Registry }

func (m rewinding) Apply(c idspace.Command) (idspace.Result, error) {
	res, err := m.Registry.Apply(c)
	if _, ok := c.(idspace.EndLife); ok {
		idspace.RewindLast(m.Registry, 1)
	}
	return res, err
}

// rewindingUnseen does the same and reports what last should be.
type rewindingUnseen struct {
	rewinding
	last *idspace.NodeNumber
}

func (m rewindingUnseen) Last() idspace.NodeNumber {
	*m.last = max(*m.last, m.rewinding.Last())
	return *m.last
}

// forgetful grants a repeated first request anew.
type forgetful struct{ *idspace.Registry }

func (m forgetful) Apply(c idspace.Command) (idspace.Result, error) {
	if g, ok := c.(idspace.Grant); ok && g.Ordinal == 1 {
		idspace.ForgetLife(m.Registry, g.Boot)
	}
	return m.Registry.Apply(c)
}

// careless restores nothing.
type careless struct{ *idspace.Registry }

func (careless) Restore([]byte) error { return nil }

// undying grants to lives that have ended.
type undying struct{ *idspace.Registry }

func (m undying) Apply(c idspace.Command) (idspace.Result, error) {
	if _, ok := c.(idspace.EndLife); ok {
		return idspace.Result{}, nil
	}
	return m.Registry.Apply(c)
}

// hasty runs ahead of time, so that a loss is not survived.
type hasty struct{ *idspace.Registry }

func (m hasty) Apply(c idspace.Command) (idspace.Result, error) {
	if g, ok := c.(idspace.Grant); ok && g.Tick != 0 {
		g.Tick += 20
		c = g
	}
	return m.Registry.Apply(c)
}

// timeless does not heed ticks, so that it begins with 1 after each loss.
type timeless struct{ *idspace.Registry }

func (m timeless) Apply(c idspace.Command) (idspace.Result, error) {
	if g, ok := c.(idspace.Grant); ok {
		g.Tick = 0
		c = g
	}
	return m.Registry.Apply(c)
}

// TestHistoryFindsBrokenRegistries shows that the property above can fail, and
// by the rule that the fault breaks.
func TestHistoryFindsBrokenRegistries(t *testing.T) {
	const tries = 500
	for _, tc := range []struct {
		name  string
		fresh func() machine
		want  error
	}{
		{"last falls", func() machine { return rewinding{idspace.NewRegistry()} }, errLastFell},
		{"last falls unseen", func() machine {
			return rewindingUnseen{rewinding{idspace.NewRegistry()}, new(idspace.NodeNumber)}
		}, errNumberTwice},
		{"no idempotence", func() machine { return forgetful{idspace.NewRegistry()} }, errPairTwice},
		{"restores nothing", func() machine { return careless{idspace.NewRegistry()} }, errDiverged},
		{"ends no life", func() machine { return undying{idspace.NewRegistry()} }, errDeadGranted},
		{"no ticks", func() machine { return timeless{idspace.NewRegistry()} }, errNumberTwice},
		{"ahead of time", func() machine { return hasty{idspace.NewRegistry()} }, errAheadOfTime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range tries {
				err := newHistory(tc.fresh).run(drawSteps.Example(seed))
				if errors.Is(err, tc.want) {
					return
				}
			}
			t.Errorf("%d histories did not find: %v", tries, tc.want)
		})
	}
}
