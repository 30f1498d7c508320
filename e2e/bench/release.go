package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// release is an npm release made for measuring; equal fields make equal bytes.
type release struct {
	name    string // scoped
	version string
	bulk    int // bytes of dependencies in the manifest
	tarball int // bytes of its file that does not compress; packed it is some percent more
}

// manifest returns the package.json.
func (r release) manifest() map[string]any {
	dependencies := map[string]string{}
	for size := 0; size < r.bulk; {
		name := fmt.Sprintf("@bench/dependency-%03d", len(dependencies))
		dependencies[name] = "^1.0.0"
		size += len(name) + 12 // as JSON
	}
	return map[string]any{
		"name": r.name, "version": r.version, "description": "made for measuring", "license": "Apache-2.0",
		"main": "index.js", "dependencies": dependencies,
	}
}

// pack returns the tarball: the manifest and a file that does not compress.
func (r release) pack() ([]byte, error) {
	manifest, err := json.Marshal(r.manifest())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = writeFiles(&out, []file{{"package/package.json", manifest}, {"package/index.js", noise(r.name+r.version, r.tarball)}}, true)
	return out.Bytes(), err
}

// noise returns n bytes that follow from the seed.
func noise(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], seed)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// document returns the body of the publish request, as libnpmpublish writes it.
func (r release) document() ([]byte, error) {
	z, err := r.pack()
	if err != nil {
		return nil, err
	}
	sum1, sum512 := sha1.Sum(z), sha512.Sum512(z)
	manifest := r.manifest()
	manifest["_id"] = r.name + "@" + r.version
	manifest["dist"] = map[string]string{
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]), "shasum": hex.EncodeToString(sum1[:]),
		"tarball": "http://127.0.0.1/" + r.file(),
	}
	return json.Marshal(map[string]any{
		"_id": r.name, "name": r.name, "dist-tags": map[string]string{"latest": r.version},
		"versions": map[string]any{r.version: manifest},
		"_attachments": map[string]any{r.file(): map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(z), "length": len(z),
		}},
	})
}

// file returns the attachment's name, scope included, as npm sends it.
func (r release) file() string { return r.name + "-" + r.version + ".tgz" }

func escape(name string) string { return strings.Replace(url.PathEscape(name), "%40", "@", 1) }

// publish sends the release and returns how long the answer took.
func (s *server) publish(ctx context.Context, r release) (time.Duration, error) {
	body, err := r.document()
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.npm+escape(r.name), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: publish %s@%s: %s: %s", s.name, r.name, r.version, resp.Status, answer)
	}
	return took, err
}

// get returns a document of the npm registry.
func (s *server) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.npm+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: GET %s: %s", s.name, path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (s *server) size(ctx context.Context, path string) (int, error) {
	b, err := s.get(ctx, path)
	return len(b), err
}

// copyToVerdaccio puts a package of ours into the peer's storage folder, as its own file format
// has it; the peer reads it at the next request.
func (b *bench) copyToVerdaccio(ctx context.Context, ours *server, name string) error {
	raw, err := ours.get(ctx, escape(name))
	if err != nil {
		return err
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	for _, key := range []string{"users", "_attachments", "_uplinks", "_distfiles"} {
		doc[key] = json.RawMessage("{}")
	}
	doc["_rev"], doc["_id"], doc["readme"] = json.RawMessage(`"1-0"`), doc["name"], json.RawMessage(`""`)
	raw, err = json.Marshal(doc)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.scratch, "verdaccio", "storage", filepath.FromSlash(name))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "package.json"), raw, 0o644)
}
