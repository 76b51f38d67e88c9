package transport_test

import (
	"testing"

	"flamingo/transport"
)

func TestIdleConnectionCostsNoMoreThanItsRecord(t *testing.T) {
	const most = 120 // bytes: the record, and two pointers to what bytes that wait need
	if got := transport.SlotBytes; got > most {
		t.Errorf("%d bytes for a connection, want %d at most", got, most)
	}
}
