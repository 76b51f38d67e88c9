// Command original is an echo server written the way a program of 2013 was,
// for the first Flamingo: the same calls with the same types, results ignored.
// It must go on to compile and to work.
//
//	original PORT
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"flamingo"
)

// readers is how many goroutines echo.
const readers = 10

func main() {
	runtime.GOMAXPROCS(runtime.NumCPU())
	if len(os.Args) < 2 {
		panic("usage: original PORT")
	}
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}

	// The variable hides the package, as it did then.
	flamingo := flamingo.New(flamingo.Opts{
		Port:            port,
		ActivityTimeout: 5 * time.Second,
		BufferSize:      1024,
		BufferTillDelim: true,
		Delim:           '\n',
	})
	fmt.Printf("listening\n") //nolint:forbidigo // an old program prints

	go func() {
		for {
			id, conn := flamingo.RecvOpen()
			fmt.Printf("opened %d: %v\n", id, conn) //nolint:forbidigo // an old program prints
		}
	}()
	for range readers {
		go func() {
			for {
				id, msg := flamingo.RecvData()
				flamingo.SendData(id, msg) //nolint:errcheck // SendData had no result then
			}
		}()
	}
	go func() {
		for {
			id := flamingo.RecvClose()
			fmt.Printf("closed %d\n", id) //nolint:forbidigo // an old program prints
		}
	}()
	select {}
}
