// Command kernels is the first process of a virtual machine that runs the sensor's tests on another
// kernel, see scripts/kernels. It mounts what a machine has, loads overlay as the module that it is
// there, runs the tests and switches the machine off; the last line on the console is the verdict.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func main() {
	err := run()
	if err != nil {
		fmt.Println("kernels:", err)
		fmt.Println("KERNEL FAILED")
	} else {
		fmt.Println("KERNEL PASSED")
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("kernels:", err)
	}
}

func run() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"},
		{"cgroup2", "/sys/fs/cgroup"}, {"securityfs", "/sys/kernel/security"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil && m.at != "/sys/fs/cgroup" {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := loadModule("/overlay.ko"); err != nil {
		return err
	}
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("raise the loopback interface: %w", err)
	}
	modules, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return err
	}
	fmt.Printf("security modules: %s\n", modules)
	tests := exec.Command("/sensor.test", "-test.v", "-test.run", os.Getenv("RUN"), "-test.timeout", "15m")
	tests.Env = []string{"PATH=/bin:/usr/bin", "HOME=/", "GOMAXPROCS=2", "CI=true"} // nothing may skip
	tests.Stdout, tests.Stderr = os.Stdout, os.Stdout
	return tests.Run()
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
