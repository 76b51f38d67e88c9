package idspace

import "errors"

// Conditions of reading a value.
var (
	// ErrBadID: not an id. Usually a typing error, upper-case digits, an id
	// that went through a JSON number, or the zero ID of a field never set.
	ErrBadID = errors.New("not an id")

	// ErrBadNumber: not a node number. Usual causes as for ErrBadID.
	ErrBadNumber = errors.New("not a node number")

	// ErrBadUUID: not the UUID of a boot or of a server. Usually the zero
	// value of a node that has none.
	ErrBadUUID = errors.New("not a uuid")
)

// Conditions of issuing ids.
var (
	// ErrExhausted: every serial of every number held is used. Usually the
	// cluster has had no quorum since the next number was asked for.
	ErrExhausted = errors.New("no serial left under the numbers held")

	// ErrNumberNotGreater: the number does not exceed all those held before.
	// Usually a late answer to a repeated request; otherwise a cluster that
	// lost its state while its clock was behind.
	ErrNumberNotGreater = errors.New("number not greater than those held")

	// ErrReserveHeld: a further number is already held and not begun. Usually
	// two requests ran at once. The number refused is burned, which is safe.
	ErrReserveHeld = errors.New("a reserve number is already held")

	// ErrTooManyNumbers: the life holds MaxNumbersPerLife numbers. After so
	// many connections the node has to be started anew; before, its requests
	// run in a loop.
	ErrTooManyNumbers = errors.New("too many numbers in one life")
)

// Conditions of applying a command or restoring a snapshot. The registry is
// unchanged after each.
var (
	// ErrBadCommand: a field is missing or contradicts another, or the bytes
	// are no command. Usually a programming error of the proposer.
	ErrBadCommand = errors.New("bad command")

	// ErrUnknownVersion: a command or snapshot of another format. Usually
	// written by a later release; to skip it would make replicas differ.
	ErrUnknownVersion = errors.New("unknown format version")

	// ErrTickOutOfRange: the tick lies past the last number. Usually the
	// clock of the leader is broken.
	ErrTickOutOfRange = errors.New("tick past the last node number")

	// ErrNumbersExhausted: the last number of all was granted. In the year
	// 2162, or after a leader whose clock was broken.
	ErrNumbersExhausted = errors.New("no node number left")

	// ErrOrdinalGap: an ordinal further ahead than the next one. Usually a
	// life that belongs to a registry since lost.
	ErrOrdinalGap = errors.New("ordinal is not the next one of this life")

	// ErrLifeEnded: the life has ended and gets no further number. Usually a
	// request that was overtaken by the end of its own node.
	ErrLifeEnded = errors.New("life has ended")

	// ErrStaleStart: a later start of the same data directory is live, or the
	// same start under another boot. Usually a late request of the life
	// before; otherwise a restored or cloned data directory.
	ErrStaleStart = errors.New("not the latest start of this data directory")

	// ErrServerChanged: a life named another data directory, or another start
	// of it, than in its first request. Usually the directory was given a new
	// identity without beginning a new life.
	ErrServerChanged = errors.New("data directory changed within a life")

	// ErrTooManyGrants: MaxLiveGrants numbers are live. Usually nodes without
	// data directories came and went, and nobody retired them.
	ErrTooManyGrants = errors.New("too many live grants")

	// ErrBadSnapshot: bytes that no registry wrote. Usually a damaged file.
	ErrBadSnapshot = errors.New("bad snapshot")
)
