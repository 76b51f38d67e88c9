package framing_test

import (
	"fmt"

	"flamingo/framing"
)

// The owner of a stream keeps the bytes that are not a message yet.
func Example() {
	codec, err := framing.Line(framing.LineConfig{MaxMessage: 1024})
	if err != nil {
		fmt.Println(err)
		return
	}

	var pending []byte // bytes from a message boundary on
	searched := 0      // how many of them hold no message
	for _, read := range []string{"hel", "lo\r\nwor", "ld\n"} {
		pending = append(pending, read...)
		for {
			msg, size, err := codec.Decode(pending, searched)
			if err != nil {
				fmt.Println(err) // the stream cannot go on
				return
			}
			if size == 0 {
				searched = len(pending)
				break
			}
			fmt.Printf("%q\n", msg)
			pending, searched = pending[size:], 0
		}
	}

	out, _ := codec.Encode(nil, []byte("bye"))
	fmt.Printf("%q\n", out)
	// Output:
	// "hello"
	// "world"
	// "bye\n"
}

func ExampleParse() {
	codec, err := framing.Parse("length", map[string][]string{
		"length-bytes": {"2"},
		"max-message":  {"65536"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, _ := codec.Encode(nil, []byte("hello"))
	fmt.Printf("%q\n", out)

	_, err = framing.Parse("line", map[string][]string{
		"line-ending": {"cr"},
		"fixed-size":  {"12"},
	})
	fmt.Println(err)
	// Output:
	// "\x00\x05hello"
	// framing: bad option: fixed-size="12": not an option of framing=line but of fixed
	// framing: bad option: line-ending="cr": allowed are lf, crlf
}
