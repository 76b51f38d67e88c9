package idspace_test

import (
	"testing"

	"flamingo/idspace"
)

func BenchmarkSequenceNext(b *testing.B) {
	s := newSequence(b, 7, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Next(); err != nil {
			s.SkipTo(0)
		}
	}
}

func BenchmarkSequenceNextParallel(b *testing.B) {
	s := newSequence(b, 7, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Next(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkParseID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := idspace.ParseID(sampleText); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	s := newSequence(t, 7, nil)
	buf := make([]byte, 0, 64)
	for name, f := range map[string]func(){
		"Next":         func() { _, _ = s.Next() },
		"Owns":         func() { s.Owns(7) },
		"Newest":       func() { s.Newest() },
		"Issued":       func() { s.Issued(7<<idspace.SerialBits | 1) },
		"ParseID":      func() { _, _ = idspace.ParseID(sampleText) },
		"AppendText":   func() { _, _ = idspace.ID(1<<40 | 1).AppendText(buf) },
		"AppendBinary": func() { _, _ = idspace.ID(1<<40 | 1).AppendBinary(buf) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s allocates %v times, want 0", name, got)
		}
	}
}
