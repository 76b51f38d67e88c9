package idspace

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// The forms that ID and NodeNumber share: fixed-width hex, JSON strings,
// msgpack integers and the verbs of package fmt. What is valid is decided by
// the types.

// quoteLimit bounds how many bytes of refused input an error repeats; it is
// enough to recognise a mistyped id.
const quoteLimit = 40

const hexDigits = "0123456789abcdef"

// text is what a text form is read from.
type text interface{ ~string | ~[]byte }

// appendHex appends the low digits*4 bits of v.
func appendHex(b []byte, v uint64, digits int) []byte {
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&0xf])
	}
	return b
}

// parseHex reads exactly the given number of lower-case digits, at most 16.
func parseHex[T text](s T, digits int) (v uint64, ok bool) {
	if len(s) != digits {
		return 0, false
	}
	for i := range len(s) {
		d, ok := hexValue(s[i])
		if !ok {
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}

func hexValue(c byte) (v byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

func quotedHex(v uint64, digits int) []byte {
	b := append(make([]byte, 0, digits+2), '"')
	return append(appendHex(b, v, digits), '"')
}

// jsonString returns the string that b holds; null and ok are both false when
// b holds something else.
func jsonString(b []byte) (s string, null, ok bool) {
	if string(b) == "null" {
		return "", true, false
	}
	if len(b) == 0 || b[0] != '"' {
		return "", false, false
	}
	return s, false, json.Unmarshal(b, &s) == nil
}

// First bytes of msgpack's unsigned integers, from its specification. Up to
// msgpackFixMax the byte is the integer.
const (
	msgpackFixMax = 0x7f
	msgpackU8     = 0xcc
	msgpackU16    = 0xcd
	msgpackU32    = 0xce
	msgpackU64    = 0xcf
)

func msgpackUint64(v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), msgpackU64), v)
}

// parseMsgpackUint reads b, which must hold one unsigned integer and no more.
func parseMsgpackUint(b []byte) (v uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	code, body := b[0], b[1:]
	switch {
	case code <= msgpackFixMax && len(body) == 0:
		return uint64(code), true
	case code == msgpackU8 && len(body) == 1:
		return uint64(body[0]), true
	case code == msgpackU16 && len(body) == 2:
		return uint64(binary.BigEndian.Uint16(body)), true
	case code == msgpackU32 && len(body) == 4:
		return uint64(binary.BigEndian.Uint32(body)), true
	case code == msgpackU64 && len(body) == 8:
		return binary.BigEndian.Uint64(body), true
	}
	return 0, false
}

// formatNumber exists because package fmt would print %x as the hex of the
// text form's bytes.
func formatNumber(f fmt.State, verb rune, v uint64, goType, text string) {
	switch verb {
	case 'v':
		if f.Flag('#') {
			fmt.Fprintf(f, "%s(%#x)", goType, v)
			return
		}
		fmt.Fprintf(f, fmt.FormatString(f, verb), text)
	case 's', 'q':
		fmt.Fprintf(f, fmt.FormatString(f, verb), text)
	default:
		fmt.Fprintf(f, fmt.FormatString(f, verb), v)
	}
}

// assign stores v unless there is an error.
func assign[T any](dst *T, v T, err error) error {
	if err == nil {
		*dst = v
	}
	return err
}
