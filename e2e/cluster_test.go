package e2e

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hullmark/hullmark/e2e/cluster"
)

// startCluster starts a Kubernetes with one node, which pulls from the transcript's server, and sets KUBECONFIG,
// NODE, GATEWAY (this machine, as pods reach it), CGROUPS (below which the pods are) and CONTAINERD_ADDRESS.
// It needs the server, for its address.
//
//	cluster
func startCluster(ts *testscript.TestScript, neg bool, args []string) {
	d := devOf(ts, neg)
	if d.listen == "" {
		ts.Fatalf("start the server first: the node pulls from it")
	}
	c, err := cluster.New(context.Background(), cluster.Options{
		Node:       true,
		Registries: []string{d.listen},
		Path:       d.env.Getenv("PATH"),
	})
	ts.Check(err)
	ts.Defer(func() {
		ts.Logf("the cluster's logs end with:\n%s", c.LogTails())
		if err := c.Stop(); err != nil {
			ts.Logf("end the cluster: %v", err)
		}
	})
	for name, value := range map[string]string{
		"KUBECONFIG":           c.Kubeconfig,
		"NODE":                 c.NodeName,
		"GATEWAY":              c.Gateway,
		"CGROUPS":              c.CgroupRoot,
		"CONTAINERD_ADDRESS":   c.ContainerdSocket,
		"CONTAINERD_NAMESPACE": "k8s.io",
	} {
		ts.Setenv(name, value)
	}
}

// listen takes connections at an address and appends what they send to FILE, for tests of what must not get out. It sets
// NAME to HOST:PORT.
//
//	listen NAME HOST FILE
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: listen NAME HOST FILE")
	}
	file, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	l, err := net.Listen("tcp", net.JoinHostPort(args[1], "0"))
	ts.Check(err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed at the end
			}
			open.Go(func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(file, conn)
			})
		}
	})
	ts.Defer(func() {
		_ = l.Close()
		_ = file.Close()
	})
	ts.Setenv(args[0], l.Addr().String())
}

// port sets NAME to a port of this machine on which nothing listens.
//
//	port NAME
func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port NAME")
	}
	ports, err := cluster.FreePorts(1)
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(ports[0]))
}
