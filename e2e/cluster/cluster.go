// Package cluster starts a real Kubernetes on this machine for tests: etcd, kube-apiserver and, when
// asked for, kube-controller-manager, kube-scheduler, containerd and kubelet, so that what is said
// about a cluster has been seen on one. `scripts/tools cluster` installs the programs.
//
// Everything listens on this machine only, lives in a folder and a cgroup of its own, and is ended by
// its own process id; several clusters can run side by side. The package refuses to stand in for a
// part that is missing: a program that is not installed is an error that names it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// readyTimeout is how long one part may take until it answers. Seconds are usual; the rest is for
// a machine that is busy with other things.
const readyTimeout = 90 * time.Second

// Options say what a cluster consists of. The zero value is etcd and an API server.
type Options struct {
	// Controllers adds kube-controller-manager, which turns Deployments into pods and makes service
	// accounts, and kube-scheduler. Without them the API server asks no pod for a service account.
	Controllers bool
	// Node adds containerd and a kubelet, and implies Controllers. It needs root.
	Node bool
	// Registries are the HOST:PORT that the node pulls from over plain HTTP.
	Registries []string
	// APIServerFlags are added to the API server's, and override them.
	APIServerFlags []string
	// Path is where the programs are looked up; empty means the folder of scripts/tools, then $PATH.
	Path string
}

// Cluster is a running cluster.
type Cluster struct {
	// Name is unique on this machine; the node, the cgroup and the containers' namespace bear it.
	Name string
	// Kubeconfig is the path of a kubeconfig of an administrator.
	Kubeconfig string
	// NodeName is the name of the one node; empty without one.
	NodeName string
	// Gateway is the address under which pods reach this machine; empty without a node.
	Gateway string
	// ContainerdSocket and ContainerdState are containerd's; empty without a node.
	ContainerdSocket, ContainerdState string
	// CgroupRoot is the path below each cgroup hierarchy that holds the pods; empty without a node.
	CgroupRoot string

	options Options
	dir     string
	address string // of the API server, HOST:PORT
	tokens  map[string]string
	undo    []func() error // what was set up, in order; ended in reverse
	logs    []string       // paths
}

// New starts a cluster and returns when it is ready to use. The caller ends it with Stop; after an error nothing is left
// but the logs, whose folder the error names.
func New(ctx context.Context, options Options) (*Cluster, error) {
	options.Controllers = options.Controllers || options.Node
	dir, err := os.MkdirTemp("", "hullmark-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		Name:       filepath.Base(dir),
		Kubeconfig: filepath.Join(dir, "admin.kubeconfig"),
		options:    options,
		dir:        dir,
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, c.LogTails()), c.end(), fmt.Errorf("the logs are in %s", c.keepLogs()))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := os.Mkdir(c.logDir(), 0o755); err != nil {
		return err
	}
	if err := c.startControlPlane(ctx); err != nil {
		return err
	}
	if c.options.Node {
		return c.startNode(ctx)
	}
	return nil
}

// Config returns an administrator's access to the API server, without the client's usual rate limit.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

// Stop ends the cluster and removes everything that it left on the machine.
func (c *Cluster) Stop() error {
	return errors.Join(c.end(), os.RemoveAll(c.dir))
}

// StopButKeepLogs ends the cluster like Stop and returns the folder where its logs remain.
func (c *Cluster) StopButKeepLogs() (string, error) {
	err := c.end()
	return c.keepLogs(), err
}

// end undoes every step of the start, the last one first, whatever fails on the way.
func (c *Cluster) end() error {
	var errs []error
	for len(c.undo) > 0 {
		last := len(c.undo) - 1
		errs = append(errs, c.undo[last]())
		c.undo = c.undo[:last]
	}
	return errors.Join(errs...)
}

func (c *Cluster) atEnd(undo func() error) { c.undo = append(c.undo, undo) }

func (c *Cluster) logDir() string { return filepath.Join(c.dir, "logs") }

// keepLogs removes all of the cluster's folder except the logs.
func (c *Cluster) keepLogs() string {
	entries, _ := os.ReadDir(c.dir)
	for _, entry := range entries {
		if path := filepath.Join(c.dir, entry.Name()); path != c.logDir() {
			_ = os.RemoveAll(path)
		}
	}
	return c.logDir()
}
