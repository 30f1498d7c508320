package registry

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxReason bounds a reason phrase, in bytes: clients print one line.
const maxReason = 300

// maxDrain is how much of a refused request is read all the same, in bytes.
const maxDrain = 32 << 20

// WriteReason answers with a reason phrase of our own in the status line: twine, mvn and NuGet print it
// and not the body. Only HTTP/1.1 has one (RFC 9112, 4), and net/http writes none, so that the connection
// is taken over and closed; over HTTP/2 the status and the body must do.
func WriteReason(w http.ResponseWriter, r *http.Request, status int, reason, contentType, body string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.Header.Get("Expect") == "" {
		// A client reads the answer when it has sent its whole request.
		io.CopyN(io.Discard, r.Body, maxDrain)
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok || r.ProtoMajor != 1 {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return
	}
	conn, buf, err := hijacker.Hijack()
	if err != nil {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return
	}
	defer conn.Close()
	h.Set("Connection", "close")
	fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\n", status, phrase(reason))
	h.Write(buf)
	buf.WriteString("\r\n")
	if r.Method != http.MethodHead {
		buf.WriteString(body)
	}
	buf.Flush() // a failure means that the caller has gone
}

// phrase is the reason as a status line can have it.
func phrase(reason string) string {
	reason = OneLine(reason)
	return reason[:min(len(reason), maxReason)]
}

// OneLine makes a sentence fit a header: it is one line of printable ASCII afterwards.
func OneLine(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\r' || c == '\t':
			return ' '
		case c < ' ' || c > '~':
			return '?'
		}
		return c
	}, text)
}
