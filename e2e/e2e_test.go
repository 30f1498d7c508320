package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var prebuilt = flag.String("hullmark", "", "the program to test; empty builds it from this tree")

// TestTranscripts runs every transcript; how many at a time is `go test -parallel`.
func TestTranscripts(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	w := world{path: strings.Join([]string{
		filepath.Dir(program(t, root)), filepath.Join(root, ".cache", "tools", "bin"), os.Getenv("PATH"),
	}, string(os.PathListSeparator))}

	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               w.setup,
		Condition:           w.condition,
		Cmds:                w.commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// program returns the path of the program under test, a file named "hullmark".
func program(t *testing.T, root string) string {
	if *prebuilt != "" {
		path, err := filepath.Abs(*prebuilt)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := filepath.Join(t.TempDir(), "hullmark")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/hullmark")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}

// world is what all transcripts share.
type world struct {
	path string // PATH of every transcript
}

// commands are the verbs that a transcript has besides testscript's own.
func (w world) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"hullmark-dev":  startDev,
		"hullmark-stop": stopDev,
		"hullmark-kill": killDev,
		"acme":          acme,
		"maven-home":    mavenHome,
		"folder":        folder,
		"finish-folder": finishFolder,
		"containerd":    startContainerd,
		"cluster":       startCluster,
		"issuer":        startIssuer,
		"id-token":      idToken,
		"start":         start,
		"finish":        finish,
		"listen":        listen,
		"port":          port,
		"exits":         exits,
		"eventually":    eventually,
		"keep":          keep,
		"tamper":        tamper,
		"sigstore":      startSigstore,
		"attest":        attest,
		"attest-file":   attestFile,
		"sign-file":     signFile,
		"pydist":        pydist,
		"totp":          totpCode,

		"upstream":         startUpstream,
		"upstream-publish": upstreamPublish,
		"upstream-mode":    upstreamMode,
		"upstream-asked":   upstreamAsked,
		"second-hullmark":  startSecond,
		"second-kill":      killSecond,
	}
}

// condition answers [tool:NAME], whether a program is installed, and [root], whether the
// transcript may do what only root can. Under CI both must hold: there a skip would hide a gap.
func (w world) condition(cond string) (bool, error) {
	var ok bool
	name, isTool := strings.CutPrefix(cond, "tool:")
	switch {
	case isTool:
		ok = w.installed(name)
	case cond == "root":
		ok = os.Geteuid() == 0
	default:
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	if !ok && os.Getenv("CI") == "true" {
		return false, fmt.Errorf("%s is missing, and under CI nothing may skip; run scripts/tools e2e and scripts/tools cluster", cond)
	}
	return ok, nil
}

// installed reports whether name is a program on the transcripts' PATH.
func (w world) installed(name string) bool {
	_, err := lookPath(w.path, name)
	return err == nil
}
