package e2e

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
)

// pydist makes a wheel or a source distribution.
//
//	pydist wheel|sdist NAME VERSION [KEY=VALUE...]
//
// Keys are requires, python, summary, tags, record, metadata and file:PATH; the last three are the names of
// files in the transcript.
func pydist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: pydist wheel|sdist NAME VERSION [KEY=VALUE...]")
	}
	d := pypitest.Dist{Name: args[1], Version: args[2], Files: map[string]string{}}
	for _, arg := range args[3:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "requires":
			d.Requires = append(d.Requires, value)
		case "python":
			d.RequiresPython = value
		case "summary":
			d.Summary = value
		case "tags":
			d.Tags = value
		case "record":
			d.Record = ts.ReadFile(value)
		case "metadata":
			d.Metadata = ts.ReadFile(value)
		default:
			path, ok := strings.CutPrefix(key, "file:")
			if !ok {
				ts.Fatalf("pydist knows no %q", key)
			}
			d.Files[path] = ts.ReadFile(value)
		}
	}
	ts.Check(os.MkdirAll(ts.MkAbs("dist"), 0o755))
	file, raw := d.WheelFile(), d.WheelBytes
	if args[0] == "sdist" {
		file, raw = d.SdistFile(), d.SdistBytes
	}
	ts.Check(os.WriteFile(ts.MkAbs("dist/"+file), raw(), 0o644))
}
