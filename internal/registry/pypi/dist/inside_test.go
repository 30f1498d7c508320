package dist

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
	"github.com/hullmark/hullmark/internal/safearchive"
)

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

func wheelOf(d pypitest.Dist) (*Inside, error) {
	raw := d.WheelBytes()
	return ReadWheel(bytes.NewReader(raw), int64(len(raw)), "acme-ui", "1.0", safearchive.PackageLimits())
}

func sdistOf(d pypitest.Dist) (*Inside, error) {
	return ReadSdist(bytes.NewReader(d.SdistBytes()), "acme-ui", "1.0", safearchive.PackageLimits())
}

func TestWheels(t *testing.T) {
	t.Parallel()
	info := "acme_ui-1.0.dist-info/"
	files := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for title, c := range map[string]struct {
		dist pypitest.Dist
		want string
	}{
		"an ordinary wheel is taken":                 {pypitest.Dist{}, ""},
		"1.0.0 is 1.0":                               {pypitest.Dist{Version: "1.0.0"}, ""},
		"signatures of RECORD need not be in it":     {pypitest.Dist{Files: files(info+"RECORD.jws", "x")}, ""},
		"the name inside is another":                 {pypitest.Dist{Metadata: "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"}, "metadata-mismatch"},
		"the version inside is another":              {pypitest.Dist{Metadata: "Metadata-Version: 2.1\nName: acme-ui\nVersion: 2.0\n"}, "metadata-mismatch"},
		"the name stands there twice":                {pypitest.Dist{Metadata: "Metadata-Version: 2.1\nName: acme-ui\nName: other\nVersion: 1.0\n"}, "upload-invalid"},
		"no metadata version":                        {pypitest.Dist{Metadata: "Name: acme-ui\nVersion: 1.0\n"}, "upload-invalid"},
		"metadata that is none":                      {pypitest.Dist{Metadata: "hello world\n"}, "upload-invalid"},
		"metadata that begins in the middle":         {pypitest.Dist{Metadata: " Name: acme-ui\n"}, "upload-invalid"},
		"metadata as large as the limit allows":      {pypitest.Dist{Headers: []string{"", strings.Repeat("x", maxMetadata-200)}}, ""},
		"metadata that is larger":                    {pypitest.Dist{Headers: []string{"", strings.Repeat("x", maxMetadata)}}, "upload-invalid"},
		"a RECORD with another hash":                 {pypitest.Dist{Record: "acme_ui/__init__.py,sha256=AAAA,16\n"}, "record-mismatch"},
		"a RECORD without files":                     {pypitest.Dist{Record: ",,\n"}, "record-mismatch"},
		"a RECORD that is no table":                  {pypitest.Dist{Record: "one\n"}, "record-mismatch"},
		"a RECORD that names what is not there":      {pypitest.Dist{Record: "../../etc/passwd,sha256=AAAA,1\n"}, "record-mismatch"},
		"another .dist-info folder":                  {pypitest.Dist{Files: files("other-1.0.dist-info/METADATA", "x")}, "wheel-layout"},
		"a .dist-info folder of another version":     {pypitest.Dist{Files: files("acme_ui-2.0.dist-info/METADATA", "x")}, "wheel-layout"},
		"a file that some systems take for METADATA": {pypitest.Dist{Files: files(info+"metadata", "x")}, "wheel-layout"},
		"a WHEEL of version 2":                       {pypitest.Dist{Wheel: "Wheel-Version: 2.0\n"}, "wheel-layout"},
		"an entry point outside of the folder":       {pypitest.Dist{Files: files(info+"entry_points.txt", "[console_scripts]\n../../bin/sh = acme_ui:main\n")}, "wheel-layout"},
		"an entry point inside":                      {pypitest.Dist{Files: files(info+"entry_points.txt", "[console_scripts]\nui = acme_ui:main\n")}, ""},
		"a path upwards":                             {pypitest.Dist{Files: files("../evil.py", "x")}, "archive-path-escape"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := c.dist
			d.Name = "acme-ui"
			if d.Version == "" {
				d.Version = "1.0"
			}
			if _, err := wheelOf(d); code(err) != c.want {
				t.Errorf("refused with %q (%v), want %q", code(err), err, c.want)
			}
		})
	}
}

func TestWhatPythonRunsAtItsStartIsAHook(t *testing.T) {
	t.Parallel()
	in, err := wheelOf(pypitest.Dist{Name: "acme-ui", Version: "1.0", Requires: []string{`requests[socks] (>=2) ; extra == "x"`, "far @ https://far.example/x.whl"}, Files: map[string]string{
		"a.pth":                                         "/some/path\nimport os; os.system('x')\n",
		"acme_ui/not-at-the-top.pth":                    "import os\n",
		"acme_ui-1.0.data/purelib/b.pth":                "import\tb\n",
		"acme_ui-1.0.data/scripts/c.pth":                "import c\n",
		"acme_ui-1.0.data/data/lib/site-packages/d.pth": "import d\n",
		"sitecustomize.py":                              "x\n",
		"usercustomize/__init__.py":                     "x\n",
	}})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, h := range in.Inventory.Hooks {
		found[h.Files[0]] = h.Command
	}
	for file, command := range map[string]string{
		"a.pth": "import os; os.system('x')", "acme_ui-1.0.data/purelib/b.pth": "import\tb", "acme_ui-1.0.data/data/lib/site-packages/d.pth": "import d",
		"sitecustomize.py": "import sitecustomize", "usercustomize/__init__.py": "import __init__",
	} {
		if file == "usercustomize/__init__.py" {
			command = "import usercustomize"
		}
		if found[file] != command {
			t.Errorf("%s: hook %q, want %q", file, found[file], command)
		}
	}
	if len(found) != 5 {
		t.Errorf("hooks %v", found)
	}
	want := []evidence.Dependency{{Name: "requests", Range: ">=2"}, {Name: "far", Range: "https://far.example/x.whl", Elsewhere: true}}
	if got := in.Inventory.Signals.Dependencies; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("dependencies %+v", got)
	}
}

func TestSdists(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		dist pypitest.Dist
		want string
	}{
		"an ordinary one is taken":     {pypitest.Dist{}, ""},
		"one with setup.py only":       {pypitest.Dist{Plain: true, Files: map[string]string{"setup.py": "x"}}, ""},
		"the name inside is another":   {pypitest.Dist{Metadata: "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"}, "metadata-mismatch"},
		"a folder of another version":  {pypitest.Dist{Version: "2.0"}, "sdist-layout"},
		"a file beside the top folder": {pypitest.Dist{Files: map[string]string{"../beside": "x"}}, "sdist-layout"},
		"a folder of another project":  {pypitest.Dist{Name: "other"}, "sdist-layout"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := c.dist
			if d.Name == "" {
				d.Name = "acme-ui"
			}
			if d.Version == "" {
				d.Version = "1.0"
			}
			if _, err := sdistOf(d); code(err) != c.want {
				t.Errorf("refused with %q (%v), want %q", code(err), err, c.want)
			}
		})
	}
	raw := pypitest.Dist{Name: "acme-ui", Version: "1.0"}.WheelBytes()
	if _, err := ReadSdist(bytes.NewReader(raw), "acme-ui", "1.0", safearchive.PackageLimits()); code(err) != "sdist-layout" {
		t.Errorf("a zip: %v", err)
	}
}

func TestAnSdistIsBuiltByWhatItNames(t *testing.T) {
	t.Parallel()
	in, err := sdistOf(pypitest.Dist{Name: "acme-ui", Version: "1.0", Files: map[string]string{"setup.py": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	hooks := in.Inventory.Hooks
	if len(hooks) != 2 || hooks[0].Command != "build with backend" || strings.Join(hooks[0].Files, " ") != "pyproject.toml backend.py" || hooks[1].Name != "setup.py" {
		t.Errorf("hooks %+v", hooks)
	}
	for _, f := range in.Inventory.Files {
		if strings.HasPrefix(f.Path, "acme_ui-1.0") {
			t.Errorf("%s keeps the folder that changes with each version", f.Path)
		}
	}
	plain, err := sdistOf(pypitest.Dist{Name: "acme-ui", Version: "1.0", Plain: true})
	if err != nil || plain.Inventory.Hooks[0].Command != "build with setuptools" {
		t.Errorf("without pyproject.toml: %+v, %v", plain, err)
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"acme_ui-1.0-py3-none-any.whl": "bdist_wheel acme-ui 1.0",
		"acme.ui-1.0-1build-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": "bdist_wheel acme-ui 1.0",
		"acme_ui-1.0.tar.gz":       "sdist acme-ui 1.0",
		"acme-ui-1.0rc1.tar.gz":    "sdist acme-ui 1.0rc1",
		"acme_ui-1.0.zip":          "",
		"acme_ui-1.0.exe":          "",
		"acme_ui-1.0+local.tar.gz": "",
		"acme_ui-one.tar.gz":       "",
		"acme_ui.tar.gz":           "",
		"../acme_ui-1.0.tar.gz":    "",
		"acme_ui-1.0-none-any.whl": "",
	} {
		kind, name, version, err := ParseFile(file)
		got := string(kind) + " " + name + " " + version
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q (%v), want %q", file, got, err, want)
		}
	}
}

func TestVersionsAreOrderedAsPEP440Has(t *testing.T) {
	t.Parallel()
	ordered := []string{"nonsense", "1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1.10", "1!0.1"}
	for i := range ordered {
		for j := range ordered {
			got := CompareVersions(ordered[i], ordered[j])
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s to %s: %d", ordered[i], ordered[j], got)
			}
		}
	}
}

func TestAFormThatContradictsTheFileIsRefused(t *testing.T) {
	t.Parallel()
	m, err := ParseMetadata([]byte("Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b (>=1)\nRequires-Dist: c\nSummary: one\n"))
	if err != nil {
		t.Fatal(err)
	}
	for title, c := range map[string]struct {
		form map[string][]string
		want string
	}{
		"nothing":                     {map[string][]string{}, ""},
		"the same in another order":   {map[string][]string{"requires_dist": {"c", "b(>=1)"}, "summary": {"one"}}, ""},
		"UNKNOWN is what twine says":  {map[string][]string{"author": {"UNKNOWN"}}, ""},
		"a requirement is left out":   {map[string][]string{"requires_dist": {"c"}}, "metadata-mismatch"},
		"a requirement is added":      {map[string][]string{"requires_dist": {"b (>=1)", "c", "d"}}, "metadata-mismatch"},
		"a Python that is not needed": {map[string][]string{"requires_python": {">=3"}}, "metadata-mismatch"},
	} {
		if err := m.Compare(c.form); code(err) != c.want {
			t.Errorf("%s: %v, want %q", title, err, c.want)
		}
	}
}
