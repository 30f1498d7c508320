// Package pypitest makes wheels and source distributions for tests, honest and other ones. It refuses
// nothing: what the registry must refuse can be made here.
package pypitest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Dist is what a distribution is made of.
type Dist struct {
	Name, Version  string
	Requires       []string // Requires-Dist
	RequiresPython string
	Summary        string
	Headers        []string // more lines of metadata
	// Files are those besides a module of the project's name, by path.
	Files map[string]string
	// Tags are the end of a wheel's name; empty means "py3-none-any".
	Tags string
	// Metadata, Record and Wheel are put in place of the right ones.
	Metadata, Record, Wheel string
	// Plain leaves the build backend out of a source distribution.
	Plain bool
}

func (d Dist) stem() string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(d.Name)) + "-" + d.Version
}

func (d Dist) module() string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(d.Name))
}

// metadata is the METADATA or PKG-INFO.
func (d Dist) metadata() string {
	if d.Metadata != "" {
		return d.Metadata
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", d.Name, d.Version)
	if d.Summary != "" {
		fmt.Fprintf(&b, "Summary: %s\n", d.Summary)
	}
	if d.RequiresPython != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", d.RequiresPython)
	}
	for _, r := range d.Requires {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r)
	}
	for _, h := range d.Headers {
		b.WriteString(h + "\n")
	}
	b.WriteString("\nThe description of " + d.Name + ".\n")
	return b.String()
}

// WheelFile is the name of the wheel.
func (d Dist) WheelFile() string {
	tags := d.Tags
	if tags == "" {
		tags = "py3-none-any"
	}
	return d.stem() + "-" + tags + ".whl"
}

// WheelBytes makes the wheel.
func (d Dist) WheelBytes() []byte {
	info := d.stem() + ".dist-info/"
	files := map[string]string{
		d.module() + "/__init__.py": "version = '" + d.Version + "'\n",
		info + "METADATA":           d.metadata(),
		info + "WHEEL":              "Wheel-Version: 1.0\nGenerator: pypitest\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	if d.Wheel != "" {
		files[info+"WHEEL"] = d.Wheel
	}
	maps.Copy(files, d.Files)
	record := d.Record
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if d.Record == "" {
			sum := sha256.Sum256([]byte(files[name]))
			record += fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[name]))
		}
	}
	if d.Record == "" {
		record += info + "RECORD,,\n"
	}
	files[info+"RECORD"] = record
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err != nil {
			panic(err)
		}
		f.Write([]byte(files[name]))
	}
	w.Close()
	return b.Bytes()
}

// SdistFile is the name of the source distribution.
func (d Dist) SdistFile() string { return d.stem() + ".tar.gz" }

// backend is a build backend that needs nothing that has to be fetched: it packs the module.
const backend = `import base64, hashlib, os, re, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = open("PKG-INFO").read()
    name = re.search("^Name: (.*)$", info, re.M).group(1).replace("-", "_").replace(".", "_").lower()
    version = re.search("^Version: (.*)$", info, re.M).group(1)
    stem = name + "-" + version
    files = {name + "/__init__.py": open(os.path.join(name, "__init__.py")).read(),
             stem + ".dist-info/METADATA": info,
             stem + ".dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = ""
    with zipfile.ZipFile(os.path.join(directory, stem + "-py3-none-any.whl"), "w") as z:
        for path, text in files.items():
            z.writestr(path, text)
            sum = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += "%s,sha256=%s,%d\n" % (path, sum, len(text.encode()))
        z.writestr(stem + ".dist-info/RECORD", record + stem + ".dist-info/RECORD,,\n")
    return stem + "-py3-none-any.whl"
`

// SdistBytes makes the source distribution.
func (d Dist) SdistBytes() []byte {
	files := map[string]string{
		"PKG-INFO":                  d.metadata(),
		d.module() + "/__init__.py": "version = '" + d.Version + "'\n",
	}
	if !d.Plain {
		files["pyproject.toml"] = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n"
		files["backend.py"] = backend
	}
	maps.Copy(files, d.Files)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: d.stem() + "/" + name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if strings.HasPrefix(name, "../") {
			h.Name = strings.TrimPrefix(name, "../")
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		w.Write([]byte(files[name]))
	}
	w.Close()
	z.Close()
	return b.Bytes()
}
