package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// TestMain keeps the credentials of whoever runs the tests out of them.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "hullmark-cli")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "HULLMARK_DATA": home, "HULLMARK_TOKEN": "",
		"HULLMARK_URL": "http://127.0.0.1:1", // nobody listens there
	} {
		os.Setenv(name, value)
	}
	status := m.Run()
	os.RemoveAll(home)
	os.Exit(status)
}

// run runs a command line and returns its exit code and what it printed.
func run(ctx context.Context, stdin string, args ...string) (code int, out, talk string) {
	var stdout, stderr bytes.Buffer
	code = cli.Main(ctx, args, cli.Streams{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestExitCodesAndWhatIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		talk string // on standard error
	}{
		{"version", 0, ""},
		{"version -o json", 0, ""},
		{"--help", 0, ""},
		{"--version", 0, ""},
		{"", 0, ""},

		{"help", 0, ""},
		{"help trace", 0, ""},
		{"help recall undo", 0, ""},
		{"help source-unknown", 0, ""},
		{"help [source-unknown]", 0, ""},

		{"help trcae", 2, `"trcae" is neither a command nor an error code`},
		{"help recall lfit", 2, "neither a command nor an error code"},
		{"help ../docs", 2, "neither a command nor an error code"},
		{"trcae x", 2, "unknown command"},
		{"--bogus", 2, "unknown flag"},
		{"version -o xml", 2, "table, json or yaml"},
		{"version extra", 2, `"extra" is too much`},
		{"trace", 2, "expected X"},
		{"trace a b", 2, "See 'hullmark trace --help'"},
		{"org", 2, "a subcommand is needed"},
		{"org nonsense", 2, "unknown subcommand"},
		{"login", 2, "--token-stdin"},
		{"verify", 2, "expected FILE"},
		{"verify x", 2, "--key"},
		{"verify x --key nonsense", 2, "is not a log's public key"},

		{"admin rebuild --data missing", 1, "[data-missing]"},
		{"admin recover --data missing", 1, "[data-missing]"},
		{"inspect missing.tar", 1, "[source-unknown] more: hullmark help source-unknown"},
		{"login --token-stdin", 1, "[secret-missing]"},
		{"whoami", 1, "[server-unreachable]"},
		{"whoami --server ftp://localhost", 1, "[server-address-invalid]"},
	} {
		t.Run("hullmark "+c.args, func(t *testing.T) {
			t.Parallel()
			code, out, talk := run(t.Context(), "", strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(talk, c.talk) {
				t.Errorf("exit code %d and %q; want %d and %q", code, talk, c.code, c.talk)
			}
			if (code == 0) == (out == "") || (code == 0) != (talk == "") {
				t.Errorf("data %q and talk %q are mixed up", out, talk)
			}
		})
	}
}

func TestHelpExplainsCommandsAndErrorCodes(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]string{
		"trace": "hullmark trace X", "recall undo": "hullmark recall undo X", "source-unknown": "# source-unknown\n",
	} {
		_, page, _ := run(t.Context(), "", append([]string{"help"}, strings.Fields(topic)...)...)
		if !strings.Contains(page, want) {
			t.Errorf("help %s does not say %q:\n%s", topic, want, page)
		}
	}
}

func TestTheTopPageNamesEveryCommandAndExitCode(t *testing.T) {
	t.Parallel()
	_, page, _ := run(t.Context(), "", "--help")
	for _, text := range []string{"dev ", "trace ", "inspect ", "record ", "verify ", "log ", "recall ", "login ", "org ", "token ", "version ",
		"0 ok, 1 error, 2 usage, 3 a policy says no, 7 an integrity failure"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q:\n%s", text, page)
		}
	}
}

func TestABundleWithAChangedByteIsExitCode7(t *testing.T) {
	t.Parallel()
	url, key := serve(t)
	file := filepath.Join(t.TempDir(), "bundle.json")
	if code, _, talk := run(t.Context(), "", "record", "pkg:npm/public@1.0.0", "--bundle", file, "--server", url); code != 0 {
		t.Fatalf("record: exit code %d\n%s", code, talk)
	}
	if code, out, talk := run(t.Context(), "", "verify", file, "--key", key); code != 0 || !strings.Contains(out, "does not prove") {
		t.Fatalf("verify: exit code %d\n%s%s", code, out, talk)
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	at := bytes.Index(raw, []byte("1.0.0"))
	raw[at]++
	must(t, os.WriteFile(file, raw, 0o600))
	if code, out, talk := run(t.Context(), "", "verify", file, "--key", key); code != 7 || out != "" {
		t.Errorf("byte %d changed: exit code %d\n%s%s", at, code, out, talk)
	}
}

// serve runs a server whose record says that somebody published a package that nobody owns, which
// everybody may read.
func serve(t *testing.T) (url, key string) {
	t.Helper()
	a, err := app.Open(t.Context(), app.Config{Data: t.TempDir(), Listen: "127.0.0.1:0"})
	must(t, err)
	t.Cleanup(func() { a.Close() })
	s, err := a.Listen()
	must(t, err)
	actor := evidence.Actor{Account: "someone", Credential: "token:tok_x", Method: "token"}
	d := digest.FromBytes(nil)
	_, err = a.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(purl.New(purl.NPM, "public", "1.0.0"), d)},
		Predicate: evidence.Publication{
			Event: evidence.Published, Ecosystem: purl.NPM, Name: "public", Version: "1.0.0", Artifact: d, Size: 1, Actor: actor,
		},
		Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	_, err = a.Log.Sequence(t.Context())
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(fmt.Errorf("the server ended with: %w", err))
		}
	})
	return s.URL, a.LogKey
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
