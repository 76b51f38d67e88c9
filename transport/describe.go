package transport

import (
	"net"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// ConnInfo describes an open connection at one moment.
type ConnInfo struct {
	ID           idspace.ID
	Listener     string   // scheme and address of its listener
	Local        net.Addr // what the client connected to
	Remote       net.Addr // the client; nil if it cannot be asked for any more
	Proxied      bool     // a proxy sent its header: it is the other end of the socket, not the client
	Opened       time.Time
	LastActive   time.Time // last byte received or sent, to 50 ms
	MessagesIn   uint64    // messages received
	BytesIn      uint64    // bytes received, framing included
	MessagesOut  uint64    // messages accepted for it
	BytesOut     uint64    // bytes accepted for it, framing included
	PendingBytes int       // bytes accepted and not yet written
	QueuedIn     int       // messages received and not yet done with

	WebSocket *WebSocketInfo // nil unless it is one
	TLS       *TLSInfo       // nil in clear text

	Meta map[string]string // what a layer above has noted of it; nil here
}

// Describe returns what is known of connection id, or ErrGone.
func (t *Transport) Describe(id idspace.ID) (ConnInfo, error) {
	s, i := t.table.find(id)
	if s == nil {
		return ConnInfo{}, t.missing(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpenLocked(id, true) {
		return ConnInfo{}, t.missing(id)
	}
	return t.infoLocked(s, i), nil
}

func (t *Transport) infoLocked(s *slot, i uint32) ConnInfo {
	info := ConnInfo{
		ID:           idspace.ID(s.id.Load()),
		Listener:     t.bound[s.listener].String(),
		Opened:       time.Unix(0, s.opened),
		LastActive:   t.start.Add(time.Duration(s.lastActive.Load()-1) * wheelTick),
		MessagesIn:   s.messagesIn,
		BytesIn:      s.bytesIn.Load(),
		MessagesOut:  s.messagesOut,
		BytesOut:     s.bytesOut,
		PendingBytes: int(s.outBytes),
		QueuedIn:     int(s.queued.Load()),
	}
	if info.LastActive.Before(info.Opened) {
		info.LastActive = info.Opened
	}
	info.Local, info.Remote = t.addrsLocked(s, i)
	w := t.table.wire(i)
	info.Proxied = w != nil && w.headed
	if w != nil && w.web != nil {
		info.WebSocket = w.web.info()
	}
	info.TLS = t.tlsLocked(i)
	return info
}

// Connections returns up to limit open connections, from cursor on: zero to
// begin with, then the next that the call before returned, until it is zero. A
// connection that is open throughout is listed exactly once.
func (t *Transport) Connections(cursor uint32, limit int) (page []ConnInfo, next uint32) {
	end := t.table.slots()
	for i := cursor; i < end; i++ {
		if len(page) == limit {
			return page, i
		}
		s := t.table.at(i)
		s.mu.Lock()
		if id := idspace.ID(s.id.Load()); id != 0 && s.isOpenLocked(id, true) {
			page = append(page, t.infoLocked(s, i))
		}
		s.mu.Unlock()
	}
	return page, 0
}

// Stats are counts of a transport since it was made, and sizes at this moment.
type Stats struct {
	Connections int // open or ending
	MaxConns    int

	Accepted     uint64            // connections given an id
	Closed       map[Reason]uint64 // connections ended
	Unopened     map[Reason]uint64 // ended before they were open, in a handshake
	Rejected     uint64            // sockets accepted and closed for want of a slot or an id
	AcceptErrors uint64
	AcceptPauses uint64 // times a listener stood still
	AcceptSlowed uint64 // times it did for AcceptRate

	AddressRefused uint64 // connections refused for MaxConnsPerAddress
	Throttled      uint64 // times a connection was not read for its rates

	MessagesIn, BytesIn   uint64 // received
	MessagesOut, BytesOut uint64 // written to sockets

	QueuedMessages int    // received and not yet taken
	QueuedBytes    int64  // received and not yet done with, overhead included
	OpensWaiting   int    // not yet taken by RecvOpen
	ClosesWaiting  int    // not yet taken by RecvClose
	PendingBytes   int64  // accepted and not yet written, in whole KiB of each connection and each Broadcast
	Shed           uint64 // connections ended for TotalOutputBytes
	Dropped        uint64 // messages dropped by SlowDropNewest
	Refused        uint64 // messages refused by SlowFailSender
	Remembered     int    // ended connections of which it is known when and why
	Forgotten      uint64 // ended connections of which it is not any more
	Undelivered    uint64 // messages accepted and not delivered
	LostGone       uint64 // of those, for connections here that ended before a byte was written
	LostUncertain  uint64 // of those, for connections here that ended when a part was written
	LostExpired    uint64 // of those, for connections here whose deadline passed before a byte was written
	NoticesDropped uint64 // notices of those that found no room
	Expired        uint64 // messages taken back before they were written: their deadline passed, or who waited gave up
	Partials       uint64 // connections that ended inside a message
	Pings          uint64 // sent to silent clients of WebSocket listeners
	PongsDropped   uint64 // pings of clients that did not take the answers

	CertificateFaults uint64 // changes of a listener's certificate that could not be used
}

// Stats returns the counts of this moment.
func (t *Transport) Stats() Stats {
	st := Stats{
		Connections:    int(t.table.live.Load()),
		MaxConns:       t.cfg.MaxConns,
		Accepted:       t.totals.accepted.Load(),
		Closed:         make(map[Reason]uint64),
		Unopened:       make(map[Reason]uint64),
		Rejected:       t.totals.rejected.Load(),
		AcceptErrors:   t.totals.acceptErrors.Load(),
		AcceptPauses:   t.totals.acceptPauses.Load(),
		AcceptSlowed:   t.totals.acceptSlowed.Load(),
		AddressRefused: t.totals.addressRefused.Load(),
		Throttled:      t.totals.throttled.Load(),
		QueuedMessages: t.inbox.len(),
		QueuedBytes:    t.inbox.cost.Load(),
		OpensWaiting:   t.opens.len(),
		ClosesWaiting:  t.closes.len(),
		PendingBytes:   t.shedder.pending.Load() << outputUnit,
		Shed:           t.totals.shed.Load(),
		Dropped:        t.totals.dropped.Load(),
		Refused:        t.totals.refused.Load(),
		Expired:        t.totals.expired.Load(),
		Partials:       t.totals.partials.Load(),
		Pings:          t.totals.pings.Load(),
		PongsDropped:   t.totals.pongsDropped.Load(),
		MessagesOut:    t.totals.messagesOut.Load(),

		CertificateFaults: t.totals.certificateFaults.Load(),
	}
	for why := range reasonCount {
		if n := t.totals.closed[why].Load(); n > 0 {
			st.Closed[why] = n
		}
		if n := t.totals.unopened[why].Load(); n > 0 {
			st.Unopened[why] = n
		}
	}
	st.Remembered, st.Forgotten = t.ended.counts()
	t.losses.counts(&st)
	for _, d := range t.drivers {
		d.counts(&st)
	}
	return st
}

// totals counts what is rare enough to be counted in one place.
type totals struct {
	accepted, rejected, acceptErrors, acceptPauses atomic.Uint64
	acceptSlowed, addressRefused, throttled, shed  atomic.Uint64
	dropped, refused, partials, expired            atomic.Uint64
	pings, pongsDropped                            atomic.Uint64
	certificateFaults                              atomic.Uint64
	messagesOut                                    atomic.Uint64 // those that no driver counts
	departed                                       atomic.Uint64 // connections that Drain has ended, or is ending
	closed, unopened                               [reasonCount]atomic.Uint64
}

// traffic counts what one driver has moved.
type traffic struct {
	messagesIn, bytesIn, messagesOut, bytesOut atomic.Uint64
}

func (c *traffic) in(messages, bytes int) {
	c.messagesIn.Add(uint64(messages))
	c.bytesIn.Add(uint64(bytes))
}

func (c *traffic) out(messages, bytes int) {
	c.messagesOut.Add(uint64(messages))
	c.bytesOut.Add(uint64(bytes))
}

func (c *traffic) counts(st *Stats) {
	st.MessagesIn += c.messagesIn.Load()
	st.BytesIn += c.bytesIn.Load()
	st.MessagesOut += c.messagesOut.Load()
	st.BytesOut += c.bytesOut.Load()
}
