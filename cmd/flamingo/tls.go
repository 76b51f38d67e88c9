package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"flamingo/cluster/trust"
)

// tlsCommand makes certificates for nodes. It asks no node.
type tlsCommand struct {
	CA   tlsCACommand   `cmd:"" name:"ca" help:"Make a CA for the nodes of a cluster: ca.pem and ca-key.pem."`
	Node tlsNodeCommand `cmd:"" help:"Make the certificate of a node: NAME.pem and NAME-key.pem."`
}

const (
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"

	maxDays = 36500 // a hundred years
)

// tlsCACommand makes a CA.
type tlsCACommand struct {
	Dir  string `default:"." placeholder:"DIR" help:"Folder to write to, made if it is missing; no file in it is replaced."`
	Days int    `default:"3650" help:"How many days it is valid."`
}

// Help is the end of the help text.
func (*tlsCACommand) Help() string {
	return `ca.pem goes to every node. Whoever has ca-key.pem can make nodes: keep it off them. Use this CA for nothing else.`
}

// Run writes a CA.
func (c *tlsCACommand) Run(con *console) error {
	if err := checkDays(c.Days); err != nil {
		return err
	}
	a, err := trust.NewAuthority("Flamingo CA for nodes", time.Now(), days(c.Days))
	if err != nil {
		return err
	}
	cert, key, err := a.PEM()
	if err != nil {
		return err
	}
	return writePair(con, filepath.Join(c.Dir, caFile), cert, filepath.Join(c.Dir, caKeyFile), key, a.Until())
}

// tlsNodeCommand makes the certificate of a node.
type tlsNodeCommand struct {
	Name        string `arg:"" help:"The node's name: letters, digits, - and dots."`
	ClusterName string `default:"flamingo" placeholder:"NAME" help:"Name of its cluster, as its --cluster-name: the certificate is good for no other."`
	CA          string `name:"ca" default:"ca.pem" placeholder:"FILE" help:"The CA, which flamingo tls ca has written."`
	CAKey       string `name:"ca-key" default:"ca-key.pem" placeholder:"FILE" help:"Its private key."`
	Dir         string `default:"." placeholder:"DIR" help:"Folder to write to, made if it is missing; no file in it is replaced."`
	Days        int    `default:"365" help:"How many days it is valid; not longer than the CA."`
}

// Run writes a certificate.
func (c *tlsNodeCommand) Run(con *console) error {
	if err := checkDays(c.Days); err != nil {
		return err
	}
	if err := trust.CheckName(c.ClusterName); err != nil {
		return badUse("--cluster-name %w", err)
	}
	if err := trust.CheckName(c.Name); err != nil {
		return badUse("NAME %w", err)
	}
	a, err := trust.LoadAuthority(c.CA, c.CAKey)
	if err != nil {
		return badUse("--ca and --ca-key: %w", err)
	}
	holder := trust.Identity{Cluster: c.ClusterName, Role: trust.RoleNode, Name: c.Name}
	cert, key, until, err := a.Issue(holder, time.Now(), days(c.Days))
	if err != nil {
		return err
	}
	return writePair(con, filepath.Join(c.Dir, c.Name+".pem"), cert, filepath.Join(c.Dir, c.Name+"-key.pem"), key, until)
}

func checkDays(n int) error {
	if n < 1 || n > maxDays {
		return badUse("--days %d: want 1 to %d", n, maxDays)
	}
	return nil
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// writePair writes the private key first: a certificate without it is of no use.
func writePair(con *console, certPath string, cert []byte, keyPath string, key []byte, until time.Time) error {
	if err := os.MkdirAll(filepath.Dir(certPath), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(certPath); err == nil {
		return badUse("%s exists, and is left as it is: name another folder, or move it away", certPath)
	}
	if err := writeNew(keyPath, key, 0o600); err != nil {
		return err
	}
	if err := writeNew(certPath, cert, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(con.talk, "written: %s, and its private key %s, valid until %s\n", certPath, keyPath, until.UTC().Format(time.DateOnly))
	return err
}
