package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"syscall"
)

// sysctls are the settings of the machine that a kubelet changes when it starts, as they were before
// the first cluster. All nodes that run share them through a locked file; the last one sets them back.
type sysctls struct{ file *os.File }

const sysctlFile = "/run/hullmark-cluster.sysctls"

// keepSysctls notes the settings, unless a cluster that runs or was killed has noted them already.
func keepSysctls() (*sysctls, error) {
	file, err := os.OpenFile(sysctlFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s := &sysctls{file}
	if s.alone() {
		err = s.note()
	}
	if err == nil {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// alone reports whether no other node runs, and keeps others from starting until the lock changes.
func (s *sysctls) alone() bool {
	return syscall.Flock(int(s.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func (s *sysctls) note() error {
	if info, err := s.file.Stat(); err != nil || info.Size() > 0 {
		return err
	}
	values := map[string]string{}
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"} {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			return err
		}
		values[name] = string(value)
	}
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	_, err = s.file.WriteAt(text, 0)
	return err
}

// release sets everything back when no other node runs.
func (s *sysctls) release() error {
	var err error
	if s.alone() {
		err = s.restore()
	}
	return errors.Join(err, s.file.Close())
}

func (s *sysctls) restore() error {
	text, err := io.ReadAll(io.NewSectionReader(s.file, 0, 1<<16))
	if err != nil {
		return err
	}
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	var errs []error
	for name, value := range values {
		errs = append(errs, os.WriteFile("/proc/sys/"+name, []byte(value), 0o644))
	}
	return errors.Join(append(errs, s.file.Truncate(0))...)
}
