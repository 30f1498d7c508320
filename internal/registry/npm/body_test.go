package npm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
)

// tgz packs files, in the order of their names.
func tgz(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		accounttest.Check(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}))
		_, err := w.Write([]byte(files[name]))
		accounttest.Check(t, err)
	}
	accounttest.Check(t, w.Close())
	accounttest.Check(t, z.Close())
	return b.Bytes()
}

// publishBody is what npm sends for a manifest and a tarball of files.
func publishBody(t testing.TB, manifest map[string]any, files map[string]string) []byte {
	t.Helper()
	return documentBody(t, manifest, tgz(t, files), "latest")
}

func documentBody(t testing.TB, manifest map[string]any, tarball []byte, tag string) []byte {
	t.Helper()
	name, version := manifest["name"].(string), manifest["version"].(string)
	body, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{tag: version}, "versions": map[string]any{version: manifest}, "access": nil,
		"_attachments": map[string]any{name + "-" + version + ".tgz": map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball),
		}},
	})
	accounttest.Check(t, err)
	return body
}
