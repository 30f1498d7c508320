package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// demoContainer is a container without a container engine: the image's layers as an overlay mount, a
// cgroup of its own, and namespaces in which it sees no network and no other process.
type demoContainer struct {
	cgroup string // folder in the cgroup v2 hierarchy
	merged string // the overlay mount
	upper  string
	binary string // this program, mounted into the container as its runtime
}

// newDemoContainer unpacks image below folder and mounts it. close undoes everything.
func newDemoContainer(folder string, image v1.Image) (_ *demoContainer, err error) {
	c := &demoContainer{merged: filepath.Join(folder, "merged"), upper: filepath.Join(folder, "upper")}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	work := filepath.Join(folder, "work")
	for _, dir := range []string{c.merged, c.upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	lower, err := unpackLayers(folder, image)
	if err != nil {
		return nil, err
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + c.upper + ",workdir=" + work
	if err := unix.Mount("overlay", c.merged, "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("mount the image: %w", err)
	}
	if c.binary, err = os.Executable(); err != nil {
		return nil, err
	}
	if err := unix.Mount(c.binary, filepath.Join(c.merged, runtimePath), "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount the runtime: %w", err)
	}
	hierarchy, err := cgroupHierarchy()
	if err != nil {
		return nil, err
	}
	c.cgroup = filepath.Join(hierarchy, "hullmark-demo-"+fmt.Sprint(os.Getpid()))
	return c, os.Mkdir(c.cgroup, 0o755)
}

// rule is the container in the agent's words.
func (c *demoContainer) rule(image, reference string) string {
	return fmt.Sprintf("/%s=%s,namespace=staging,kind=Deployment,name=shop,pod=shop-1,reference=%s,root=%s",
		filepath.Base(c.cgroup), image, reference, c.merged)
}

// unpackLayers writes each layer into a folder of its own and returns them as lowerdir wants them, the
// topmost first. The image is the demo's own: it has files and folders only.
func unpackLayers(folder string, image v1.Image) ([]string, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	var lower []string
	for i, l := range layers {
		dir := filepath.Join(folder, fmt.Sprintf("layer-%d", i))
		content, err := l.Uncompressed()
		if err != nil {
			return nil, err
		}
		if err := errors.Join(unpack(dir, tar.NewReader(content)), content.Close()); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		lower = append([]string{dir}, lower...)
	}
	return lower, nil
}

func unpack(dir string, layer *tar.Reader) error {
	for {
		h, err := layer.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(layer)
		if err != nil {
			return err
		}
		if err := writeFiles(dir, map[string]string{h.Name: string(content)}); err != nil {
			return err
		}
	}
}

// cgroupHierarchy returns where the cgroup v2 hierarchy is mounted; on hybrid machines that is not
// /sys/fs/cgroup itself.
func cgroupHierarchy() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return fields[4], nil
		}
	}
	return "", errors.New("no cgroup v2 hierarchy is mounted")
}

// run starts the application in the container and waits for its end. It returns what the application
// printed, and how it ended.
func (c *demoContainer) run(ctx context.Context, application string) (output string, state *os.ProcessState, err error) {
	group, err := os.Open(c.cgroup)
	if err != nil {
		return "", nil, err
	}
	defer group.Close()
	cmd := exec.CommandContext(ctx, "/"+runtimePath, "demo", "runtime", application)
	cmd.Dir = "/"
	cmd.Env = []string{"HOME=/root", "PATH=/runtime"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: c.merged, Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd()),
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	out, err := cmd.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		err = nil
	}
	return string(out), cmd.ProcessState, err
}

// close unmounts and removes what was made.
func (c *demoContainer) close() error {
	var errs []error
	for _, target := range []string{filepath.Join(c.merged, runtimePath), c.merged} {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	if c.cgroup != "" {
		errs = append(errs, removeCgroup(c.cgroup))
	}
	return errors.Join(errs...)
}

// removeCgroup waits for the kernel to let go of processes that have just ended.
func removeCgroup(dir string) error {
	var err error
	for range 50 {
		if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}
