package gemspec

import (
	"regexp"
	"strings"
)

// RubyPlatform is that of a gem that runs everywhere.
const RubyPlatform = "ruby"

// PlatformForm is a platform as a full name can have it: it begins with a letter, so that the version
// before it can be told from it.
var PlatformForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]*(?:-[A-Za-z0-9_.]+)*$`)

// Platform is a platform taken apart, as Gem::Platform keeps it.
type platform struct{ cpu, os, version string }

var (
	i86          = regexp.MustCompile(`i\d86`)
	digits       = regexp.MustCompile(`\d`)
	versionWhole = regexp.MustCompile(`^\d+(\.\d+)?$`)
)

// systems are the operating systems that RubyGems knows, in its order; the group is the version.
// Source: RubyGems 3.3, platform.rb, "initialize".
var systems = []struct {
	form *regexp.Regexp
	os   string // "$1": the first group, and the version is the last one
}{
	{regexp.MustCompile(`aix(\d+)?`), "aix"},
	{regexp.MustCompile(`cygwin`), "cygwin"},
	{regexp.MustCompile(`darwin(\d+)?`), "darwin"},
	{regexp.MustCompile(`^macruby$`), "macruby"},
	{regexp.MustCompile(`freebsd(\d+)?`), "freebsd"},
	{regexp.MustCompile(`hpux(\d+)?`), "hpux"},
	{regexp.MustCompile(`^(?:java|jruby)$`), "java"},
	{regexp.MustCompile(`^java([\d.]*)`), "java"},
	{regexp.MustCompile(`^dalvik(\d+)?$`), "dalvik"},
	{regexp.MustCompile(`^dotnet$`), "dotnet"},
	{regexp.MustCompile(`^dotnet([\d.]*)`), "dotnet"},
	{regexp.MustCompile(`linux-?(\w+)?`), "linux"},
	{regexp.MustCompile(`mingw32`), "mingw32"},
	{regexp.MustCompile(`mingw-?(\w+)?`), "mingw"},
	{regexp.MustCompile(`(mswin\d+)(?:_(\d+))?`), "$1"},
	{regexp.MustCompile(`netbsdelf`), "netbsdelf"},
	{regexp.MustCompile(`openbsd(\d+\.\d+)?`), "openbsd"},
	{regexp.MustCompile(`bitrig(\d+\.\d+)?`), "bitrig"},
	{regexp.MustCompile(`solaris(\d+\.\d+)?`), "solaris"},
	{regexp.MustCompile(`^(\w+_platform)(\d+)?`), "$1"},
}

// ParsePlatform takes a platform apart. Source: RubyGems 3.3, platform.rb, "initialize".
func ParsePlatform(s string) platform {
	parts := strings.Split(s, "-")
	if n := len(parts); n > 2 && !digits.MatchString(parts[n-1]) { // x86-linux-gnu
		parts = append(parts[:n-2:n-2], parts[n-2]+"-"+parts[n-1])
	}
	p := platform{cpu: parts[0]}
	if i86.MatchString(p.cpu) {
		p.cpu = "x86"
	}
	parts = parts[1:]
	if len(parts) == 2 && versionWhole.MatchString(parts[1]) {
		p.os, p.version = parts[0], parts[1]
		return p
	}
	var system string
	if len(parts) > 0 {
		system = parts[0]
	} else {
		system, p.cpu = p.cpu, "" // "java"
	}
	p.os = "unknown"
	for _, known := range systems {
		m := known.form.FindStringSubmatch(system)
		if m == nil {
			continue
		}
		p.os = known.os
		if len(m) > 1 {
			p.version = m[len(m)-1]
		}
		if strings.HasPrefix(p.version, "gnu") {
			p.version = "" // what every Linux has that says nothing
		}
		if known.os == "$1" {
			p.os = m[1]
		}
		break
	}
	if p.cpu == "" && strings.HasPrefix(p.os, "mswin") && strings.HasSuffix(p.os, "32") {
		p.cpu = "x86"
	}
	return p
}
