package signal

import (
	"bytes"
	"net/netip"
	"strings"
)

// maxHost is how long a host name may be in bytes (RFC 1035, 2.3.4).
const maxHost = 253

// findHosts notes the hosts of addresses with a scheme, IPv4 addresses, and what stands in quotes and
// looks like the name of a host. The rest of an address is not kept: a host is what a firewall knows, and
// paths differ with every version.
func (s *Scanner) findHosts(last bool) {
	b := s.buf
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("://"))
		if i < 0 {
			break
		}
		at += i + len("://")
		if at > len("://") && isLetter(b[at-len("://")-1]) && (last || at+maxHost < len(b)) {
			s.noteAddress(authority(b[at:]))
		}
	}
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], '.')
		if i < 0 {
			return
		}
		at += i
		if !last && at+maxHost >= len(b) {
			return // the next window has it whole
		}
		if at > 0 && at+1 < len(b) && hostChar[b[at-1]] && hostChar[b[at+1]] {
			s.notePlain(b, at)
		}
	}
}

// authority returns the host of an address that begins after its scheme (RFC 3986, 3.2), as it is written.
func authority(b []byte) []byte {
	end := 0
	for end < len(b) && end < 2*maxHost && addressChar[b[end]] {
		end++
	}
	host := b[:end]
	if i := bytes.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	return bytes.TrimSuffix(host, []byte("."))
}

func (s *Scanner) noteAddress(raw []byte) {
	if _, known := s.hosts[string(raw)]; known || bytes.IndexByte(raw, '.') < 0 || len(raw) > maxHost {
		return
	}
	if host := strings.ToLower(string(raw)); isHost(host) && !isLocal(host) {
		s.note(host)
	}
}

// addressChar are the bytes that may stand in the authority of an address in code.
var addressChar = func() (t [256]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		t[c] = !strings.ContainsRune("/?#\"'`<>\\)}],;$", rune(c))
	}
	return t
}()

// notePlain looks at the word around the dot at b[at], when that is its first. Code is full of dots, so
// what cannot be a host is left before anything is allocated.
func (s *Scanner) notePlain(b []byte, at int) {
	from := at
	for from > 0 && at-from < maxHost && hostChar[b[from-1]] {
		from--
		if b[from] == '.' {
			return // the word was looked at from its first dot
		}
	}
	if from == 0 && s.fresh > 0 {
		return // it began in the window before, which had it whole
	}
	number, quoted := isDigit(b[from]), from > 0 && isQuote(b[from-1])
	if !number && !quoted {
		return
	}
	to := at
	for to < len(b) && to-at < maxHost && hostChar[b[to]] {
		to++
	}
	if number && isNumbers(b[from:to]) {
		s.noteNumber(b, from, to)
		return
	}
	if quoted && to < len(b) && (isQuote(b[to]) || b[to] == '/' || b[to] == ':') && isDomain(b[from:to]) {
		if word := strings.ToLower(string(b[from:to])); isHost(word) {
			s.note(word)
		}
	}
}

func (s *Scanner) noteNumber(b []byte, from, to int) {
	word := string(b[from:to])
	if a, err := netip.ParseAddr(word); err == nil && a.Is4() && !a.IsLoopback() && !a.IsUnspecified() && !isWordBefore(b, from) {
		s.note(word)
	}
}

// isNumbers reports whether the word can be an IPv4 address.
func isNumbers(word []byte) bool {
	dots := 0
	for _, c := range word {
		if c == '.' {
			dots++
		} else if !isDigit(c) {
			return false
		}
	}
	return dots == 3 && len(word) <= len("255.255.255.255")
}

// isDomain reports whether the word ends in one of the domains.
func isDomain(word []byte) bool {
	last := word[bytes.LastIndexByte(word, '.')+1:]
	var lower [8]byte
	if len(last) > len(lower) {
		return false
	}
	for i, c := range last {
		lower[i] = c
		if c >= 'A' && c <= 'Z' {
			lower[i] += 'a' - 'A'
		}
	}
	return domains[string(lower[:len(last)])]
}

// isWordBefore tells an address from the end of a longer number or word.
func isWordBefore(b []byte, from int) bool {
	return from > 0 && (b[from-1] == '_' || b[from-1] >= 0x80)
}

func isLocal(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// isHost checks the form of a name with dots.
func isHost(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !hostChar[label[i]] {
				return false
			}
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isQuote(c byte) bool  { return c == '"' || c == '\'' || c == '`' }

// hostChar are the bytes of host names, dots included.
var hostChar = func() (t [256]bool) {
	for c := range t {
		t[c] = isLetter(byte(c)) || c >= '0' && c <= '9' || c == '-' || c == '.'
	}
	return t
}()

// domains are the top-level domains by which a word in quotes is taken for a host: the most used ones and
// those that malware favours, without those that are endings of files or members of objects in code.
var domains = map[string]bool{
	"com": true, "net": true, "org": true, "io": true, "dev": true, "app": true, "ai": true, "co": true, "biz": true, "me": true,
	"ru": true, "cn": true, "su": true, "ir": true, "kp": true, "top": true, "xyz": true, "site": true, "online": true, "club": true, "shop": true,
	"cloud": true, "tk": true, "ml": true, "ga": true, "cf": true, "gq": true, "cc": true, "pw": true, "ws": true, "to": true, "onion": true,
	"de": true, "uk": true, "fr": true, "eu": true, "nl": true, "us": true, "in": true, "br": true, "jp": true,
}
