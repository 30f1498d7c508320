package console

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// call is one request with who sent it.
type call struct {
	s     *Console
	w     http.ResponseWriter
	r     *http.Request
	actor evidence.Actor // zero: nobody is signed in
}

func (c *call) signedIn() bool { return !c.actor.Anonymous() }

// device is where the request comes from.
func (c *call) device() account.Device {
	return account.Device{RemoteAddr: c.r.RemoteAddr, Agent: c.r.UserAgent()}
}

// form returns a field of the posted form, without the white space that pasting adds.
func (c *call) form(name string) string { return strings.TrimSpace(c.r.PostFormValue(name)) }

type handler func(*call) error

// access says whom a handler is for.
type access bool

const (
	open   access = false // anyone; who is signed in is known
	person access = true  // somebody who is signed in
)

// handle makes an http.HandlerFunc: it checks where the request comes from and who sent it, and turns
// errors into pages.
func (s *Console) handle(a access, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, w: w, r: r}
		protect(w.Header())
		if err := s.origin.Check(r); err != nil {
			c.fail(fault.New(fault.Denied, "cross-origin",
				"the request was sent from another site's page, so nothing was done; open the page here and do it again").Because(err))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := c.identify(); err != nil {
			c.fail(err)
			return
		}
		if a == person && !c.signedIn() {
			c.askToSignIn("")
			return
		}
		if err := c.parse(); err != nil {
			c.fail(err)
			return
		}
		if err := h(c); err != nil {
			c.fail(err)
		}
	}
}

func (c *call) parse() error {
	err := c.r.ParseForm()
	if cut, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, "request-too-large", "a request body takes at most %d bytes here", cut.Limit)
	}
	if err != nil {
		return fault.New(fault.Invalid, "request-invalid", "the form could not be read; open the page again").Because(err)
	}
	return nil
}

// fail turns an error into a page. What a session has not proven yet is asked for, not refused.
func (c *call) fail(err error) {
	f := fault.As(err)
	switch {
	case f.Kind == fault.Internal:
		c.s.report(c.r.Context(), c.r.Pattern, err)
	case c.signedIn() && (f.Code == "otp-required" || f.Code == "webauthn-required"):
		c.askToProve(f)
		return
	case c.signedIn() && f.Code == "credential-invalid" && !c.typed():
		c.forget() // it ended while the request was under way
		c.askToSignIn("")
		return
	}
	c.show(c.status(f), "problem", "That did not work", problemView{Text: f.Text, Code: f.Code, Back: c.back()})
}

// typed reports whether the request carries a password that may be what was refused.
func (c *call) typed() bool { return c.r.PostForm.Has("password") || c.r.PostForm.Has("old") }

// status is the fault's, but for a form that a person who is signed in filled in wrongly: that is no
// question of who they are.
func (c *call) status(f *fault.Error) int {
	if f.Kind == fault.Unauthenticated && c.signedIn() {
		return http.StatusBadRequest
	}
	return fault.HTTPStatus(f)
}

type problemView struct{ Text, Code, Back string }

// back is the page that the form stood on.
func (c *call) back() string {
	u, err := url.Parse(c.r.Referer())
	if err != nil {
		return home
	}
	return local(u.RequestURI())
}

// home is where a signed-in person begins.
const home = "/account/"

// local returns path if it is one of our pages, else home: an address in a request must not lead
// elsewhere.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || strings.Contains(path, `\`) {
		return home
	}
	for _, m := range Mounts() {
		if strings.HasPrefix(path, m) && !strings.HasPrefix(path, "/account/sign-") {
			return path
		}
	}
	return home
}

// to sends the browser on, with GET.
func (c *call) to(path string) error {
	http.Redirect(c.w, c.r, path, http.StatusSeeOther)
	return nil
}

func isLoopbackAddress(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}
