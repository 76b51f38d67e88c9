package attach

import (
	"flamingo/node"
)

// do does the actions one after the other and returns their outcomes.
func (ss *session) do(actions []record) (results []uint64) {
	if len(actions) == 0 {
		return nil
	}
	results = make([]uint64, 0, len(actions))
	for i := range actions {
		results = ss.act(&actions[i], results)
	}
	ss.server.actions.Add(uint64(len(results)))
	for _, o := range results {
		if o != uint64(accepted) {
			ss.server.refused.Add(1)
		}
	}
	return results
}

// act does one action and appends its outcomes.
func (ss *session) act(a *record, results []uint64) []uint64 {
	n := ss.server.cfg.Node
	var err error
	switch actionKind(a.kind) {
	case actionSend:
		var kind node.Kind
		if kind, err = ss.sending(a.u[1]); err == nil {
			err = n.SendDataAs(node.ID(a.u[0]), kind, a.payload)
		}
	case actionSendMany:
		return ss.sendMany(a, results)
	case actionClose:
		if err = ss.may(scopeSend); err == nil {
			err = n.SendCloseWith(node.ID(a.u[0]), codeOf(a.u[1]), a.s[0])
		}
	case actionJoin:
		if err = ss.may(scopeSend); err == nil {
			err = n.JoinGroup(node.ID(a.u[0]), a.s[0])
		}
	case actionLeave:
		if err = ss.may(scopeSend); err == nil {
			err = n.LeaveGroup(node.ID(a.u[0]), a.s[0])
		}
	case actionPublish:
		err = ss.publish(a)
	case actionCloseGroup:
		if err = ss.may(scopeSend); err == nil {
			err = reached(n.CloseGroupWith(a.s[0], codeOf(a.u[0]), a.s[1]))
		}
	case actionSetMeta:
		if err = ss.may(scopeSend); err == nil {
			err = n.SetMeta(node.ID(a.u[0]), a.s[0], a.s[1])
		}
	}
	return append(results, ss.outcome(err))
}

func (ss *session) sendMany(a *record, results []uint64) []uint64 {
	kind, err := ss.sending(a.u[0])
	if err != nil {
		for range a.list {
			results = append(results, ss.outcome(err))
		}
		return results
	}
	for _, err := range ss.server.cfg.Node.SendManyAs(idsOf(a.list), kind, a.payload) {
		results = append(results, ss.outcome(err))
	}
	return results
}

func (ss *session) publish(a *record) error {
	kind, err := ss.sending(a.u[0])
	if err != nil {
		return err
	}
	return reached(ss.server.cfg.Node.PublishAs(a.s[0], kind, a.payload, idsOf(a.list)...))
}

// reached makes one outcome of what a publish says.
func reached(p node.Published, err error) error {
	if err == nil && len(p.Failed) > 0 {
		return p.Failed[0]
	}
	return err
}

// sending returns the kind of a message to be sent, if the worker may send.
func (ss *session) sending(kind uint64) (node.Kind, error) {
	if kind > uint64(node.KindBinary) {
		return 0, outcomeError(badRequest)
	}
	return node.Kind(kind), ss.may(scopeSend)
}

func (ss *session) may(what scopes) error {
	if ss.scopes&what == 0 {
		return outcomeError(forbidden)
	}
	return nil
}

// outcomeError is an outcome that the node has no error for.
type outcomeError outcome

func (e outcomeError) Error() string { return outcomes[e].name }

// outcome returns that of err as it goes to the worker; one that has none goes to the
// log.
func (ss *session) outcome(err error) uint64 {
	if e, ok := err.(outcomeError); ok { //nolint:errorlint // it is never wrapped
		return uint64(e)
	}
	o := outcomeOf(err)
	if o == failed {
		ss.server.logger.Warn("what a worker asked for has failed", "worker", ss.feed.name, "session", ss.feed.number, "err", err)
	}
	return uint64(o)
}

// codeOf is the code of a close; -1, which is none, for what cannot be one.
func codeOf(u uint64) int {
	if u > 1<<16-1 {
		return -1
	}
	return int(u)
}

func idsOf(list []uint64) []node.ID {
	ids := make([]node.ID, len(list))
	for i, v := range list {
		ids[i] = node.ID(v)
	}
	return ids
}
