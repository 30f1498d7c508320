package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// demoFiles are the files of one version of @acme/greet.
func demoFiles(version string) map[string]string {
	words := map[string]string{"1.0.0": "Hello", "1.1.0": "Good morning"}
	return map[string]string{
		"package.json": fmt.Sprintf(`{
  "name": "@acme/greet",
  "version": %q,
  "description": "Greets people",
  "main": "index.js",
  "license": "Apache-2.0"
}
`, version),
		"index.js": "const words = require('./lib/words.js')\nmodule.exports = (name) => `${words.hello}, ${name}!`\n// " + version + "\n",
		"lib/words.js": "// The words that greet uses. Copy this file into your project if you need no more than this.\n" +
			"exports.hello = '" + words[version] + "'\nexports.goodbye = 'See you soon'\nexports.since = '" + version + "'\n",
		"README.md": "# greet\n\nGreets people, since " + version + ".\n",
	}
}

// demoPackage is a version of an npm package, and the token that it is published with.
type demoPackage struct {
	name, version string
	files         map[string]string
	token         string
}

// bare is the name without its scope, as npm calls tarballs.
func (p demoPackage) bare() string { return p.name[strings.IndexByte(p.name, '/')+1:] }

// publishVersion publishes with the real npm when it is installed and says with what it did.
func (d *demo) publishVersion(ctx context.Context, p demoPackage) (how string, err error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "the built-in client (npm is not installed)", d.publishWithoutNPM(ctx, p)
	}
	folder := filepath.Join(d.folder, p.bare()+"-"+p.version)
	if err := writeFiles(folder, p.files); err != nil {
		return "", err
	}
	npmrc := fmt.Sprintf("@acme:registry=%s/npm/\n%s/npm/:_authToken=${HULLMARK_TOKEN}\nupdate-notifier=false\n",
		d.url, strings.TrimPrefix(d.url, "http:"))
	if err := os.WriteFile(filepath.Join(folder, ".npmrc"), []byte(npmrc), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "npm", "publish", "--loglevel=error")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "HULLMARK_TOKEN="+p.token, "npm_config_cache="+filepath.Join(d.folder, "npm-cache"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("npm publish: %w\n%s", err, out)
	}
	return "npm publish", nil
}

func writeFiles(folder string, files map[string]string) error {
	for name, content := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// publishWithoutNPM sends what npm publish sends.
func (d *demo) publishWithoutNPM(ctx context.Context, p demoPackage) error {
	name, version := p.name, p.version
	tarball, err := packTarball(p.files)
	if err != nil {
		return err
	}
	var manifest map[string]any
	if err := json.Unmarshal([]byte(p.files["package.json"]), &manifest); err != nil {
		return err
	}
	sum1, sum512 := sha1.Sum(tarball), sha512.Sum512(tarball)
	manifest["_id"] = name + "@" + version
	manifest["dist"] = map[string]string{
		"shasum":    hex.EncodeToString(sum1[:]),
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]),
		"tarball":   d.url + "/npm/" + name + "/-/" + p.bare() + "-" + version + ".tgz",
	}
	body, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": version},
		"versions": map[string]any{version: manifest},
		"_attachments": map[string]any{name + "-" + version + ".tgz": map[string]any{
			"content_type": "application/octet-stream", "length": len(tarball), "data": tarball,
		}},
	})
	if err != nil {
		return err
	}
	return d.put(ctx, d.url+"/npm/"+strings.Replace(name, "/", "%2f", 1), p.token, body)
}

func (d *demo) put(ctx context.Context, url, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("publish: %s: %s", resp.Status, answer)
	}
	return nil
}

func packTarball(files map[string]string) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if err := writeTar(zip, "package/", files); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeTar(w io.Writer, prefix string, files map[string]string) error {
	archive := tar.NewWriter(w)
	for name, content := range files {
		header := &tar.Header{Name: prefix + name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, content); err != nil {
			return err
		}
	}
	return archive.Close()
}
