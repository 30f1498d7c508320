package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxSecret is far more than any key file has, in bytes.
const maxSecret = 64 << 10

// Secret returns the content of a key file, or makes it with create and stores it durably, readable
// by its owner only. It never replaces a file that is there. A file that others may read fails
// with code key-exposed: it is no secret any more. The permissions are those of the file that is
// open, so that there is no moment between the look and the reading.
func Secret(file string, create func() ([]byte, error)) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err := create()
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", filepath.Base(file), err)
		}
		return raw, WriteFile(file, raw, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.New(fault.Denied, "key-exposed",
			"%s has mode %04o, so others can read it; replace the key, or run chmod 600 on it if you are sure that nobody did",
			filepath.Base(file), mode)
	}
	return io.ReadAll(io.LimitReader(f, maxSecret))
}
