package mesh_test

import (
	"bytes"
	"testing"

	"flamingo/cluster/mesh"

	"pgregory.net/rapid"
)

// A journalModel is a journal as a list.
type journalModel struct {
	journal *mesh.Journal
	frames  []modelFrame // that may have to be written once more
	next    int          // of these, the one to be written next
	last    uint64       // the last number given
	handed  uint64       // the last one handed out since the journal was rewound
	ever    uint64       // or before
	acked   uint64

	taken, copied []byte // while they are being written
}

type modelFrame struct {
	number uint64 // 0 if it has none
	bytes  []byte
}

func (m *journalModel) add(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "count") {
		number := uint64(0)
		if rapid.IntRange(0, 3).Draw(t, "numbered") > 0 {
			m.last++
			number = m.last
		}
		size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(40<<10, 64<<10)).Draw(t, "size")
		m.frames = append(m.frames, modelFrame{number, m.journal.Add(number, size)})
	}
}

func (m *journalModel) take(t *rapid.T) {
	if m.taken != nil || m.next == len(m.frames) {
		t.Skip("nothing to write")
	}
	b, frames, _ := m.journal.Take()
	if len(b) == 0 || len(b) > mesh.SegmentSize+mesh.MaxFrame {
		t.Fatalf("%d bytes to write", len(b))
	}
	m.taken, m.copied = b, bytes.Clone(b)
	for range frames {
		f := m.frames[m.next]
		if !bytes.HasPrefix(b, f.bytes) {
			t.Fatalf("frame %d of the list is not what is written", m.next)
		}
		b = b[len(f.bytes):]
		m.handed = max(m.handed, f.number)
		m.next++
	}
	m.ever = max(m.ever, m.handed)
	if len(b) > 0 {
		t.Fatalf("%d bytes behind %d frames", len(b), frames)
	}
}

func (m *journalModel) wrote(t *rapid.T) {
	if m.taken == nil {
		t.Skip("nothing is being written")
	}
	if !bytes.Equal(m.taken, m.copied) {
		t.Fatal("bytes have changed while they were written")
	}
	m.taken = nil
	m.journal.Wrote()
}

func (m *journalModel) acknowledge(t *rapid.T) {
	n := m.handed - rapid.Uint64Range(0, min(m.handed, 8)).Draw(t, "less") // may be less than before
	m.journal.Acknowledge(n)
	m.acked = max(m.acked, n)
}

// rewind begins behind some frame that was handed out.
func (m *journalModel) rewind(t *rapid.T) {
	if m.taken != nil {
		m.wrote(t)
	}
	n := rapid.Uint64Range(m.acked+1, m.ever+1).Draw(t, "number")
	m.journal.Rewind(n)
	m.acked, m.handed = n-1, n-1
	m.next = 0
	for i, f := range m.frames {
		if f.number == n {
			m.frames = m.frames[i:]
			return
		}
	}
	m.frames = nil // what has no number and nothing behind it is not written again
}

func (m *journalModel) frame(t *rapid.T) {
	for _, f := range m.frames[m.next:] {
		if f.number != 0 && !bytes.Equal(m.journal.Frame(f.number), f.bytes) {
			t.Fatalf("frame %d is not found", f.number)
		}
	}
}

func (m *journalModel) check(t *rapid.T) {
	if got, want := m.journal.Pending(), m.next < len(m.frames); got != want {
		t.Fatalf("pending is %t, want %t", got, want)
	}
	counted, found := m.journal.Bytes()
	needed := 0
	for i, f := range m.frames {
		if f.number > m.acked || i >= m.next {
			needed += len(f.bytes)
		}
	}
	// Beside what is needed: a segment of which the last frame is, and what has
	// no number.
	if most := needed + 2*(mesh.SegmentSize+mesh.MaxFrame) + 16*len(m.frames); counted != found || found < needed || found > most {
		t.Fatalf("%d bytes are counted, %d there, %d needed", counted, found, needed)
	}
}

// TestJournalIsAList holds a journal to a model, in whatever order its methods are
// called.
func TestJournalIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &journalModel{journal: mesh.NewJournal()}
		t.Repeat(map[string]func(*rapid.T){
			"add": m.add, "take": m.take, "wrote": m.wrote, "acknowledge": m.acknowledge,
			"rewind": m.rewind, "frame": m.frame, "": m.check,
		})
	})
}
