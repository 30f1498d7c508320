// Package mailtest runs a real SMTP server for tests: aiosmtpd, a Debian package that scripts/tools
// installs, which keeps every message it takes as a file.
//
// It is for tests only and refuses nothing that a test asks for.
package mailtest

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed mailtest.py
var script string

// Options say what the server asks for.
type Options struct {
	Mode              string // "none" (the default), "starttls" or "tls"
	Certificate, Key  string // PEM files, for TLS
	Password          string // of every user; empty: nobody logs in
	PatienceInSeconds int    // how long Wait waits; default 20
}

// Sink is a running server.
type Sink struct {
	// Address is its "host:port".
	Address  string
	folder   string
	patience time.Duration
}

// Start runs a server until the test ends. Without aiosmtpd the test skips; under CI=true it fails.
func Start(t testing.TB, o Options) *Sink {
	t.Helper()
	python := interpreter()
	if python == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("aiosmtpd is not installed; run scripts/tools e2e")
		}
		t.Skip("aiosmtpd is not installed; run scripts/tools e2e")
	}
	if o.Mode == "" {
		o.Mode = "none"
	}
	s := &Sink{folder: t.TempDir(), patience: time.Duration(max(o.PatienceInSeconds, 20)) * time.Second}
	cmd := exec.Command(python, "-c", script, s.folder, o.Mode, o.Certificate, o.Key, o.Password)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // how it ends does not matter
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	s.Address = "127.0.0.1:" + strings.TrimSpace(port)
	return s
}

// interpreter returns a Python that has aiosmtpd: Debian's own, which need not be the first on the path.
func interpreter() string {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import aiosmtpd").Run() == nil {
			return python
		}
	}
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Message is what the server took.
type Message struct {
	mail.Header
	Body string // decoded
	Raw  string
}

// Messages returns what was taken so far, in order.
func (s *Sink) Messages(t testing.TB) []Message {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.folder, "*.eml"))
	must(t, err)
	slices.Sort(files)
	var all []Message
	for _, f := range files {
		raw, err := os.ReadFile(f)
		must(t, err)
		all = append(all, parse(t, string(raw)))
	}
	return all
}

func parse(t testing.TB, raw string) Message {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	must(t, err)
	body, err := io.ReadAll(decoded(m))
	must(t, err)
	return Message{Header: m.Header, Body: strings.ReplaceAll(string(body), "\r\n", "\n"), Raw: raw}
}

// Wait returns the first message to an address whose text or subject contains a part, waiting for it to
// come.
func (s *Sink) Wait(t testing.TB, to, part string) Message {
	t.Helper()
	deadline := time.After(s.patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		all := s.Messages(t)
		for _, m := range all {
			if m.Get("X-Envelope-To") == to && strings.Contains(m.Get("Subject")+"\n"+m.Body, part) {
				return m
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no mail to %s with %q came; there are %s", to, part, subjects(all))
		}
	}
}

func subjects(all []Message) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "\n  to %s: %s", m.Get("To"), m.Get("Subject"))
	}
	return b.String()
}
