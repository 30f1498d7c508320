package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandboxImage is what the kubelet's pods are held together by. We make it ourselves: a cluster that tests what
// comes from our registry pulls nothing from another.
const sandboxImage = "hullmark.test/pause:1"

// startContainerd starts containerd with folders and a socket of its own and imports the sandbox image.
func (c *Cluster) startContainerd(ctx context.Context, n network) error {
	dir := filepath.Join(c.dir, "containerd")
	c.ContainerdSocket = filepath.Join(dir, "sock")
	c.ContainerdState = filepath.Join(dir, "state")
	if err := c.writeContainerdConfig(dir, n); err != nil {
		return err
	}
	// The folder's mounts go after containerd has gone.
	c.atEnd(func() error { return errors.Join(c.endShims(), unmountBelow(c.dir)) })
	p, err := c.run("containerd", "--config", filepath.Join(dir, "config.toml"))
	if err != nil {
		return err
	}
	c.atEnd(c.removePods)
	err = p.await(ctx, "answering", func(ctx context.Context) error { return c.ctr(ctx, "version") })
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "pause.tar")
	busybox, err := c.lookPath("busybox")
	if err != nil {
		return err
	}
	image := Image{Reference: sandboxImage, Entrypoint: []string{"/bin/busybox", "sleep", "infinity"}, Files: map[string]string{"bin/busybox": busybox}}
	if err := image.Write(archive); err != nil {
		return err
	}
	return c.Import(ctx, archive)
}

// Import loads an image archive into the node's containerd, as if it had been pulled.
func (c *Cluster) Import(ctx context.Context, archive string) error {
	return c.ctr(ctx, "--namespace", "k8s.io", "images", "import", archive)
}

func (c *Cluster) ctr(ctx context.Context, args ...string) error {
	program, err := c.lookPath("ctr")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, program, append([]string{"--address", c.ContainerdSocket}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (c *Cluster) writeContainerdConfig(dir string, n network) error {
	for path, text := range map[string]string{
		"config.toml":            c.containerdConfig(dir),
		"net.d/10-pods.conflist": n.cniConfig(filepath.Join(dir, "addresses")),
	} {
		if err := writeFile(filepath.Join(dir, path), text); err != nil {
			return err
		}
	}
	for _, registry := range c.options.Registries {
		hosts := fmt.Sprintf("server = \"http://%[1]s\"\n\n[host.\"http://%[1]s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", registry)
		if err := writeFile(filepath.Join(dir, "certs.d", registry, "hosts.toml"), hosts); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "certs.d"), 0o755)
}

func (c *Cluster) containerdConfig(dir string) string {
	// restrict_oom_score_adj: lowering the score needs CAP_SYS_RESOURCE, which root in a container or a
	// small virtual machine may not have.
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_tcp_service = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q
`, filepath.Join(dir, "root"), c.ContainerdState, c.ContainerdSocket, sandboxImage,
		cniPlugins(), filepath.Join(dir, "net.d"), filepath.Join(dir, "certs.d"))
}

// cniPlugins is where Debian puts them, or everybody else.
func cniPlugins() string {
	const debian, others = "/usr/lib/cni", "/opt/cni/bin"
	if _, err := os.Stat(filepath.Join(debian, "bridge")); err == nil {
		return debian
	}
	return others
}

// removePods ends every pod through containerd, which unplugs it from the network and unmounts its files. The
// kubelet has ended by then and starts none again.
func (c *Cluster) removePods() error {
	conn, err := grpc.NewClient("unix://"+c.ContainerdSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	cri := runtimeapi.NewRuntimeServiceClient(conn)
	for {
		err := removeSandboxes(ctx, cri)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // a container that is just ending makes containerd say no
	}
}

// removeSandboxes stops and removes each pod's sandbox, and with it the pod's containers.
func removeSandboxes(ctx context.Context, cri runtimeapi.RuntimeServiceClient) error {
	sandboxes, err := cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	var errs []error
	for _, sandbox := range sandboxes.Items {
		_, err := cri.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox.Id})
		if err == nil {
			_, err = cri.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox.Id})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// endShims kills the shims that have lost their containerd; without pods none should be left.
func (c *Cluster) endShims() error {
	deadline := time.Now().Add(stopTimeout)
	for {
		pids := c.shims()
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of containerd do not end", pids)
		}
		killAll(pids)
		time.Sleep(50 * time.Millisecond)
	}
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
