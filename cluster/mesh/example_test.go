package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// office is a node with one connection, and the network to its only peer.
type office struct {
	number idspace.NodeNumber
	peer   *mesh.Mesh
}

func (o *office) Boot() idspace.BootID                   { return idspace.BootID{byte(o.number)} }
func (o *office) Cluster() idspace.ClusterID             { return idspace.ClusterID{1} }
func (o *office) Last() idspace.NodeNumber               { return 2 }
func (o *office) Owns(n idspace.NodeNumber) bool         { return n == o.number }
func (o *office) Numbers() []idspace.NodeNumber          { return []idspace.NodeNumber{o.number} }
func (o *office) Describe(idspace.ID) ([]byte, error)    { return nil, mesh.ErrGone }
func (o *office) Close(idspace.ID, uint16, string) error { return nil }

func (o *office) Dial(context.Context, idspace.BootID) (net.Conn, error) {
	here, there := net.Pipe()
	o.peer.Serve(there) //nolint:contextcheck // a stream outlives the dial that opened it
	return here, nil
}

func (o *office) Deliver(id idspace.ID, _ mesh.Kind, msg []byte) error {
	if id.Serial() != 7 {
		return mesh.ErrGone
	}
	fmt.Printf("%v gets %q\n", id, msg)
	return nil
}

func (o *office) DeliverMany(ids []idspace.ID, kind mesh.Kind, msg []byte, results []error) {
	for i, id := range ids {
		results[i] = o.Deliver(id, kind, msg)
	}
}

func (o *office) DeliverWaited(id idspace.ID, kind mesh.Kind, _ mesh.Stage, msg []byte, _ time.Duration, done func(error)) {
	done(o.Deliver(id, kind, msg))
}

func Example() {
	offices := []*office{{number: 1}, {number: 2}}
	var meshes []*mesh.Mesh
	for _, o := range offices {
		m, err := mesh.New(mesh.Config{Network: o, Identity: o, Owner: o, OutcomeOf: func(err error) mesh.Outcome {
			if errors.Is(err, mesh.ErrGone) {
				return mesh.OutcomeGone
			}
			return mesh.OutcomeUncertain
		}})
		if err != nil {
			fmt.Println(err)
			return
		}
		meshes = append(meshes, m)
	}
	offices[0].peer, offices[1].peer = meshes[1], meshes[0]

	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, m := range meshes {
		wg.Go(func() { _ = m.Run(ctx) })
		<-m.Started()
	}
	for serial := idspace.Serial(7); serial <= 8; serial++ {
		id, _ := idspace.NewID(2, serial)
		fmt.Println(meshes[0].To(offices[1].Boot()).Send(ctx, id, mesh.KindDefault, []byte("hello")))
	}
	stop()
	wg.Wait()
	// Output:
	// 0000000020000007 gets "hello"
	// <nil>
	// connection is gone
}
