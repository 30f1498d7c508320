package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden verdicts anew")

// TestVerdictsAreTheGoldenOnes decides what testdata/*.txtar describe: policies, a request, records and
// exceptions beside the verdict and what people are told. It shows a change of meaning, or of words, as a diff.
func TestVerdictsAreTheGoldenOnes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := func(name string) *txtar.File {
				for i := range archive.Files {
					if archive.Files[i].Name == name {
						return &archive.Files[i]
					}
				}
				archive.Files = append(archive.Files, txtar.File{Name: name})
				return &archive.Files[len(archive.Files)-1]
			}
			got, said := decideGolden(t, part)
			if *update {
				part("verdict.json").Data, part("said").Data = got, said
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := part("verdict.json").Data; !bytes.Equal(got, want) {
				t.Errorf("verdict:\n%s\nwant:\n%s", got, want)
			}
			if want := part("said").Data; !bytes.Equal(said, want) {
				t.Errorf("said:\n%s\nwant:\n%s", said, want)
			}
		})
	}
}

func decideGolden(t *testing.T, part func(string) *txtar.File) (verdict, said []byte) {
	program, err := Compile(Shipped())
	if text := part("policies.yaml").Data; len(bytes.TrimSpace(text)) > 0 {
		program = compiled(t, string(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	var req Request
	var records map[string]Record
	var exceptions []Exception
	for name, into := range map[string]any{"request.json": &req, "records.json": &records, "exceptions.json": &exceptions} {
		if text := part(name).Data; len(bytes.TrimSpace(text)) > 0 {
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	v := program.Decide(req, func(digest string) Record { return records[digest] }, exceptions)
	v.Revision = "" // of the shipped policies' every letter
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n'), []byte(Explain(v) + "\n")
}
