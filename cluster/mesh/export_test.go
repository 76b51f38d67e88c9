package mesh

import (
	"net"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// Wire is a frame with its fields in the open.
type Wire struct {
	Kind    uint8
	Ints    [7]uint64
	IDs     []idspace.ID
	Payload []byte
	Group   string
}

// WireDecoder decodes one frame after another.
type WireDecoder struct {
	d *decoder
	f frame
}

func NewWireDecoder() *WireDecoder { return &WireDecoder{d: newDecoder()} }

// Decode decodes the body of a frame.
func (w *WireDecoder) Decode(body []byte) (Wire, error) {
	w.f.payload, w.f.ids, w.f.u, w.f.group = nil, w.f.ids[:0], [7]uint64{}, nil
	err := w.d.frame(body, &w.f)
	return Wire{uint8(w.f.kind), w.f.u, w.f.ids, w.f.payload, string(w.f.group)}, err
}

// DecodeAny is Decode without the shorter way that data frames take.
func (w *WireDecoder) DecodeAny(body []byte) (Wire, error) {
	w.f.payload, w.f.ids, w.f.u, w.f.group = nil, w.f.ids[:0], [7]uint64{}, nil
	err := w.d.any(body, &w.f)
	return Wire{uint8(w.f.kind), w.f.u, w.f.ids, w.f.payload, string(w.f.group)}, err
}

// IsQuick reports whether body is a frame that takes the shorter way.
func (w *WireDecoder) IsQuick(body []byte) bool { return w.d.data(body, &frame{}) }

// Hello and Welcome decode a handshake frame and encode it again.
func Hello(body []byte) ([]byte, error) {
	h, err := newDecoder().hello(body)
	e := newEncoder()
	e.hello(&h)
	return e.buf, err
}

func Welcome(body []byte) ([]byte, error) {
	w, err := newDecoder().welcome(body)
	e := newEncoder()
	e.welcome(&w)
	return e.buf, err
}

// WireEncoder appends frames.
type WireEncoder struct{ e *encoder }

func NewWireEncoder() *WireEncoder { return &WireEncoder{newEncoder()} }

func (w *WireEncoder) Reset()        { w.e.buf = w.e.buf[:0] }
func (w *WireEncoder) Bytes() []byte { return w.e.buf }

// Encode appends a frame, header and all.
func (w *WireEncoder) Encode(f Wire) {
	e, u := w.e, f.Ints
	switch k := frameKind(f.Kind); k { //nolint:exhaustive // every other kind has integers alone, but the handshake's, which are not for this
	case kindData, kindWait:
		e.message(u[0], &message{kind: k, id: idspace.ID(u[1]), as: Kind(u[2]), stage: Stage(u[3]), time: u[4], payload: f.Payload})
	case kindMany:
		e.message(u[0], &message{kind: k, ids: f.IDs, as: Kind(u[1]), payload: f.Payload})
	case kindClose, kindCloseWait:
		e.message(u[0], &message{kind: k, id: idspace.ID(u[1]), code: uint16(u[2]), payload: f.Payload})
	case kindPublish:
		m := &message{kind: k, what: publishing(u[1]), group: f.Group, lanes: int(u[3]), ids: f.IDs, payload: f.Payload}
		m.as, m.code = Kind(u[2]), uint16(u[2])
		e.message(u[0], m)
	case kindVoid:
		e.message(u[0], &message{kind: k, payload: f.Payload})
	case kindPart:
		e.part(u[0], u[1], u[2] == 1, f.Payload)
	case kindRequest, kindReply:
		e.call(k, u[0], u[1], f.Payload)
	case kindNumbers:
		numbers := make([]idspace.NodeNumber, len(f.IDs))
		for i, n := range f.IDs {
			numbers[i] = idspace.NodeNumber(n)
		}
		e.numbers(idspace.NodeNumber(u[0]), numbers)
	case kindWatch:
		e.watch(u[0], f.IDs)
	default:
		e.uints(k, u[:len(layouts[k].fields)-1]...)
	}
}

// Void makes a void of an encoded frame.
var Void = void

// HelloFor returns the first bytes that a node with these ids sends.
func HelloFor(cluster idspace.ClusterID, boot, expected idspace.BootID, versions [2]uint64, kind, lane, resume, attempt uint64) []byte {
	e := newEncoder()
	e.buf = append(e.buf, Magic...)
	e.hello(&hello{
		min: versions[0], max: versions[1], cluster: cluster, boot: boot, expected: expected,
		kind: streamKind(kind), lane: lane, resume: resume, attempt: attempt, nextSeq: 1, nextOutcome: 1,
	})
	return e.buf
}

// ForLane reports whether first, what a dialling end says first, is for a lane.
func ForLane(first []byte) bool {
	h, err := newDecoder().hello(first[len(Magic)+headerLen:])
	return err == nil && h.kind == streamLane
}

// RefusalOf reads the refusal out of the body of a welcome.
func RefusalOf(body []byte) (Refusal, error) {
	w, err := newDecoder().welcome(body)
	return w.refusal, err
}

// WelcomeTo returns the answer of boot that accepts a lane from its first frame.
func WelcomeTo(cluster idspace.ClusterID, boot idspace.BootID) []byte {
	return WelcomeFrom(cluster, boot, 1)
}

// WelcomeFrom returns the answer of boot that accepts a lane from frame next on.
func WelcomeFrom(cluster idspace.ClusterID, boot idspace.BootID, next uint64) []byte {
	e := newEncoder()
	e.buf = append(e.buf, Magic...)
	e.welcome(&welcome{version: 1, min: 1, max: 1, cluster: cluster, boot: boot, nextSeq: next, nextOutcome: 1})
	return e.buf
}

// KeptBytes returns the room that the lanes to peer have for frames.
func (m *Mesh) KeptBytes(peer idspace.BootID) (bytes int) {
	for _, n := range (*m.links.Load())[peer].lanes {
		n.mu.Lock()
		bytes += n.log.room()
		n.mu.Unlock()
	}
	return bytes
}

// Trust leaves out the comparison of boots in the handshakes of m.
func (m *Mesh) Trust() { m.trusting = true }

// ForgetFrames has m forget which frames of a session it took.
func (m *Mesh) ForgetFrames() { m.doubling = true }

// ForgetSessions has m forget every session when its stream ends.
func (m *Mesh) ForgetSessions() { m.forgetful = true }

// AllFeatures are those of this release.
const AllFeatures = uint64(allFeatures)

// SetFeatures and SetVersions have m be of another release. It is called before
// Run.
func (m *Mesh) SetFeatures(f uint64) { m.features = features(f) }

func (m *Mesh) SetVersions(v [2]uint64) { m.min, m.max = v[0], v[1] }

// Layouts returns name and fields of every frame, by kind.
func Layouts() map[int][2]string {
	all := make(map[int][2]string)
	for k, l := range layouts {
		if l.name != "" {
			all[k] = [2]string{l.name, l.fields}
		}
	}
	return all
}

// OutcomeNames, KindNames, RefusalNames, RequestNames and ReplyNames return the lists of
// codes.
func OutcomeNames() (names []string) {
	for i := range outcomes {
		names = append(names, Outcome(i).String())
	}
	return names
}

func KindNames() (names []string) {
	for k := KindDefault; k <= KindBinary; k++ {
		names = append(names, k.String())
	}
	return names
}

func RefusalNames() []string { return refusalNames[:] }

// FactNames returns the list of what is said of watched ids.
func FactNames() []string { return factNames[:] }

func RequestNames() []string { return requestNames[1:] }

func ReplyNames() (names []string) {
	for _, r := range replies {
		names = append(names, r.name)
	}
	return names
}

// Limits returns the limits of the protocol by the names of docs/protocol.md.
func Limits() map[string]int {
	return map[string]int{
		"frame": maxFrame, "handshake frame": maxHello, "piece of a part": partSize,
		"messages in parts": maxParts, "ids in a frame": maxIDs, "numbers in a frame": maxNumbers,
		"reason of a close": maxReason, "name of a group": maxGroup,
		"lanes": maxLanes, "outcomes unacknowledged": maxOutcomes, "request and reply body": maxRequest,
		"assembled beside the payload": assemblyOverhead,
	}
}

const (
	PartSize   = partSize
	MaxIDs     = maxIDs
	MaxFrame   = maxFrame
	MaxHello   = maxHello
	MaxRequest = maxRequest
	IDCost     = idCost
)

// A Journal is a journal in the open.
type Journal struct{ j journal }

func NewJournal() *Journal { return &Journal{newJournal(2)} }

// Add appends a frame with that number and as much payload, or one without number
// if it is 0, and returns it.
func (j *Journal) Add(number uint64, payload int) []byte {
	e := newEncoder()
	for _, e := range []*encoder{e, j.j.open()} {
		if number == 0 {
			e.uints(kindAck, uint64(payload))
		} else {
			e.message(number, &message{kind: kindVoid, payload: make([]byte, payload)})
		}
	}
	j.j.close(number)
	return e.buf
}

func (j *Journal) Take() (b []byte, frames int, last uint64) { return j.j.take() }
func (j *Journal) Wrote()                                    { j.j.wrote() }
func (j *Journal) Pending() bool                             { return j.j.pending() }
func (j *Journal) Acknowledge(number uint64)                 { j.j.acknowledge(number) }
func (j *Journal) Rewind(number uint64)                      { j.j.rewind(number) }
func (j *Journal) Frame(number uint64) []byte                { return j.j.frame(number) }

// Bytes returns how many bytes of frames there are, as counted and as found.
func (j *Journal) Bytes() (counted, found int) {
	for _, s := range j.j.segs {
		found += len(s.buf)
	}
	return j.j.bytes, found
}

const SegmentSize = segmentSize

// An AckBox is an outbox that acknowledges.
type AckBox struct {
	box    *outbox
	writer sync.WaitGroup
}

// NewAckBox returns one that writes to conn until Stop.
func NewAckBox(conn net.Conn) *AckBox {
	s := newStream(conn, &traffic{}, &atomic.Bool{})
	a := &AckBox{box: newOutbox(s)}
	a.writer.Go(func() { a.box.write(s) })
	return a
}

// SetAck says that the frames up to seq were taken.
func (a *AckBox) SetAck(seq uint64) { a.box.setAck(seq) }

// Withhold has the box owe an outcome that the peer never acknowledges.
func (a *AckBox) Withhold() { a.box.outcome(1, 0, only(OutcomeGone)) }

// Held returns how many bytes it keeps.
func (a *AckBox) Held() int { return a.box.held() }

// AckAll acknowledges frame after frame, each in a write of its own to nowhere, up
// to n of them or until the box gives up. It returns how many that were. There is
// no writer.
func (a *AckBox) AckAll(n int) (acks int) {
	s := a.box.stream
	for acks < n && !s.ended() {
		acks++
		a.box.setAck(1<<40 + uint64(acks*ackFrames)) // nine bytes each
		a.box.take(s)
		a.box.log.wrote()
	}
	return acks
}

// NewIdleBox is NewAckBox without a writer.
func NewIdleBox(conn net.Conn) *AckBox {
	return &AckBox{box: newOutbox(newStream(conn, &traffic{}, &atomic.Bool{}))}
}

// OutboxLimit is the bound of what an outbox keeps, in bytes.
const OutboxLimit = outboxLimit

// Stop ends the writer and waits for it.
func (a *AckBox) Stop() {
	a.box.stop()
	a.writer.Wait()
}

// Mute has m take back no notice of pressure.
func (m *Mesh) Mute() { m.mute = true }

// The bounds of notices of pressure.
const (
	MaxPressed  = maxPressed
	PressedFor  = pressedFor
	NoticeAgain = noticeAgain
)

// WelcomeWith is WelcomeTo of an end with these features.
func WelcomeWith(cluster idspace.ClusterID, boot idspace.BootID, f uint64) []byte {
	e := newEncoder()
	e.buf = append(e.buf, Magic...)
	e.welcome(&welcome{version: 1, min: 1, max: 1, features: features(f), cluster: cluster, boot: boot, nextSeq: 1, nextOutcome: 1})
	return e.buf
}
