package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"flamingo/cluster/trust"
)

// keygenCommand makes a key of a cluster. It asks no node.
type keygenCommand struct {
	File string `arg:"" optional:"" help:"File to write it to, which only its owner can read; it must not exist. Without it the key goes to standard output."`
}

// Help is the end of the help text.
func (*keygenCommand) Help() string {
	return `Whoever knows the key can be a node. Copy the file to all nodes, and name it with --cluster-key-file.

To change the key while the cluster serves, make another and edit the files of all nodes in three steps: add ` +
		`it as the last line, everywhere; move it to the first line, everywhere; remove the former one, everywhere. ` +
		`Nodes follow their files within a second or two and say so in their logs.`
}

// Run writes a key.
func (c *keygenCommand) Run(con *console) error {
	key, err := trust.NewKey(rand.Reader)
	if err != nil {
		return err
	}
	if c.File == "" {
		_, err := fmt.Fprintln(con.out, key.Text())
		return err
	}
	if err := writeNew(c.File, []byte(key.Text()+"\n"), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(con.talk, "key written to %s: copy it to every node, and start them with --cluster-key-file %s\n", c.File, c.File)
	return err
}

// writeNew writes a file that must not exist: what it would replace may be in use,
// and be lost for good.
func writeNew(path string, text []byte, mode os.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return badUse("%s exists, and is left as it is: name another file, or move it away", path)
	}
	if err != nil {
		return usageError{error: err}
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path)) // half a file is none
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}
