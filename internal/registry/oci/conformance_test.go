package oci_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/registry/oci"
)

// conformanceBinary finds the public suite: in the folder $HULLMARK_TOOLS, or on the PATH. Where it
// must not be missing, its absence fails the test.
func conformanceBinary(t *testing.T) string {
	t.Helper()
	if folder := os.Getenv("HULLMARK_TOOLS"); folder != "" {
		if file, err := exec.LookPath(filepath.Join(folder, "conformance")); err == nil {
			return file
		}
	}
	file, err := exec.LookPath("conformance")
	if err == nil {
		return file
	}
	const how = "the OCI conformance suite is missing: go install github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111"
	if os.Getenv("CI") == "true" {
		t.Fatal(how)
	}
	t.Skip(how)
	return ""
}

// The suite exits with 1 when a test fails. Its own count is checked too: a run that stops early,
// or skips what we claim to do, must not pass.
func TestPublicConformanceSuiteFindsNoFailure(t *testing.T) {
	t.Parallel()
	binary := conformanceBinary(t)
	for name, extra := range map[string][]string{
		"1.1 defaults":                      {"OCI_VERSION=1.1"},
		"1.1 with tag parameter and cancel": {"OCI_VERSION=1.1", "OCI_API_MANIFESTS_TAG_PARAM=true", "OCI_API_BLOBS_UPLOAD_CANCEL=true"},
		"the coming version":                {"OCI_VERSION=dev"},
		"sparse manifests":                  {"OCI_VERSION=dev", "OCI_DATA_SPARSE=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(c *oci.Config) { c.Sparse = strings.HasPrefix(name, "sparse") })
			results := t.TempDir()
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.WaitDelay = 10 * time.Second
			cmd.Dir = results
			cmd.Env = append([]string{
				"OCI_REGISTRY=" + strings.TrimPrefix(s.URL, "http://"), "OCI_TLS=disabled", "OCI_USERNAME=admin", "OCI_PASSWORD=" + s.token,
				"OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two", "OCI_RESULTS_DIR=" + results, "PATH=" + os.Getenv("PATH"),
			}, extra...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("the suite ended with %v:\n%s", err, tail(out))
			}
			checkCount(t, filepath.Join(results, "junit.xml"))
		})
	}
}

func checkCount(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var count struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
	}
	if err := xml.Unmarshal(raw, &count); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tests, %d failures, %d errors", count.Tests, count.Failures, count.Errors)
	if count.Tests < 500 || count.Failures+count.Errors > 0 {
		t.Errorf("%d tests, %d failures, %d errors; want more than 500 and none", count.Tests, count.Failures, count.Errors)
	}
}

// tail keeps the end of a long output.
func tail(out []byte) []byte {
	lines := bytes.Split(out, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-80):], []byte("\n"))
}
