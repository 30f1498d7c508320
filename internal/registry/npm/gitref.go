package npm

import (
	"net/url"
	"regexp"
	"strings"
)

// gitHosts are the forges for which npm's client rewrites a dependency's address when it
// publishes. Source: hosted-git-info, hosts.js.
var gitHosts = map[string]string{
	"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket", "gist.github.com": "gist", "git.sr.ht": "sourcehut",
}

var (
	gitShortcut = regexp.MustCompile(`^(github|gitlab|bitbucket|gist|sourcehut):([^@:\s]+)$`)
	gitUserRepo = regexp.MustCompile(`^([^@%/\s.:-][^:@%/\s]*/[^:@\s/%#]+)(#.*)?$`)
	gitScp      = regexp.MustCompile(`^(?:[^@/\s]+@)([a-z.]+):([^:\s]+)$`)
)

// gitReference returns one spelling, "forge:path#committish", for the many of a repository at a
// known forge, and any other dependency range as it is. The protocol and the user are dropped:
// they do not change what is fetched.
func gitReference(spec string) string {
	if m := gitShortcut.FindStringSubmatch(spec); m != nil {
		return gitSpelling(m[1], m[2])
	}
	if gitUserRepo.MatchString(spec) {
		return gitSpelling("github", spec)
	}
	if m := gitScp.FindStringSubmatch(spec); m != nil && gitHosts[m[1]] != "" {
		return gitSpelling(gitHosts[m[1]], m[2])
	}
	u, err := url.Parse(strings.TrimPrefix(spec, "git+"))
	if err != nil || gitHosts[u.Hostname()] == "" {
		return spec
	}
	switch u.Scheme {
	case "git", "ssh", "http", "https":
	default:
		return spec
	}
	fragment := ""
	if u.Fragment != "" {
		fragment = "#" + u.Fragment
	}
	if u.RawQuery != "" || !strings.HasPrefix(spec, "git") && !isRepository(u.Path) && u.Scheme != "ssh" {
		return spec // the address of a file, such as a release's tarball
	}
	return gitSpelling(gitHosts[u.Hostname()], strings.TrimPrefix(u.Path, "/")+fragment)
}

// isRepository reports whether the path has two elements, a user's and a repository's.
func isRepository(p string) bool { return strings.Count(strings.Trim(p, "/"), "/") == 1 }

func gitSpelling(forge, repository string) string {
	where, committish, _ := strings.Cut(repository, "#")
	where = strings.TrimSuffix(strings.Trim(where, "/"), ".git")
	if committish != "" {
		committish = "#" + committish
	}
	return forge + ":" + where + committish
}
