package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
)

// Image is a one-layer image made of files of this machine, for the programs of a test.
type Image struct {
	Reference  string
	Entrypoint []string
	Files      map[string]string // path in the image, without the leading slash, to path here
}

// Write writes the image as an archive that `docker load`, `ctr images import`, skopeo and podman read.
func (i Image) Write(file string) error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": i.Entrypoint, "Env": []string{"PATH=/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hash(layer)}},
		"history":      []map[string]any{{"created_by": "a test"}},
	})
	if err != nil {
		return err
	}
	configName := hash(config) + ".json"
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{i.Reference}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, entry := range []struct {
		name string
		data []byte
	}{{"layer.tar", layer}, {configName, config}, {"manifest.json", manifest}} {
		if err := addFile(w, entry.name, 0o644, entry.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

func (i Image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	folders := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(i.Files)) {
		if err := addFolders(w, path.Dir(name), folders); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(i.Files[name])
		if err != nil {
			return nil, err
		}
		if err := addFile(w, name, 0o755, data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// addFolders adds the folder and those above it, each once.
func addFolders(w *tar.Writer, folder string, done map[string]bool) error {
	if folder == "." || done[folder] {
		return nil
	}
	if err := addFolders(w, path.Dir(folder), done); err != nil {
		return err
	}
	done[folder] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755})
}

func addFile(w *tar.Writer, name string, mode int64, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))}); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	_, err := io.Copy(w, bytes.NewReader(data))
	return err
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
