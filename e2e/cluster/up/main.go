// Command up keeps a cluster running for people to try things on, and ends it on Ctrl-C. It is
// `make cluster`; the package it starts says what the cluster consists of, and refuses the same.
//
//	go run ./e2e/cluster/up [-registries HOST:PORT,...] [-control-plane]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hullmark/hullmark/e2e/cluster"
)

func main() {
	options := cluster.Options{Node: true}
	controlPlane := flag.Bool("control-plane", false, "etcd and an API server alone, which need no root")
	registries := flag.String("registries", "", "HOST:PORT,... that the node pulls from over plain HTTP")
	flag.Parse()
	options.Node = !*controlPlane
	if *registries != "" {
		options.Registries = strings.Split(*registries, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, options cluster.Options) error {
	if missing := cluster.Missing(options); len(missing) > 0 {
		return fmt.Errorf("not installed: %s; run scripts/tools cluster", strings.Join(missing, ", "))
	}
	c, err := cluster.New(ctx, options)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig)
	if options.Node {
		fmt.Printf("export CONTAINERD_ADDRESS=%s CONTAINERD_NAMESPACE=k8s.io\n", c.ContainerdSocket)
		fmt.Printf("# node %s; pods reach this machine as %s and have their cgroups below %s\n", c.NodeName, c.Gateway, c.CgroupRoot)
	}
	fmt.Println("# running until Ctrl-C")
	<-ctx.Done()
	fmt.Println("# ending")
	return c.Stop()
}
