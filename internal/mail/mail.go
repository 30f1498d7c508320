// Package mail sends short plain-text messages by SMTP (RFC 5321) and keeps those that could not be
// sent yet, so that nobody who causes one waits for a mail server.
//
// [Sender] hands one message to the configured server, [Outbox] keeps messages in the database until
// that worked. The protocol is a library's; what is decided here is what may be sent how.
//
// What it refuses: a message whose address or subject holds a line break, a server that offers no TLS
// (messages carry recovery codes) unless it is on this machine, more than one recipient, HTML and
// attachments.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"sigs.k8s.io/yaml"

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	sendTimeout = 20 * time.Second
	maxConfig   = 64 << 10 // bytes
	maxSubject  = 200      // bytes
	maxText     = 64 << 10 // bytes
)

// How the connection to the server is protected.
const (
	StartTLS = "starttls" // begins in clear and changes over; without TLS nothing is sent
	TLS      = "tls"      // TLS from the first byte, usually port 465
	None     = "none"     // in clear; to this machine only
)

// Config says which server takes the mail. It is read from a YAML file; see docs/howto/mail.md.
type Config struct {
	// Server is "host:port" of the SMTP server.
	Server string `json:"server"`
	// Security is starttls (the default), tls or none. None sends recovery codes in clear, and so only
	// to a loopback address.
	Security string `json:"security"`
	// User logs in with the password in PasswordFile; without it nobody logs in. A relative path
	// begins at the folder of the configuration file. The file must be readable by its owner only.
	User         string `json:"user"`
	PasswordFile string `json:"passwordFile"`
	// CAFile holds the PEM certificates that the server's is checked against; default: the system's.
	CAFile string `json:"caFile"`
	// From is the sender, "Hullmark <hullmark@example.com>". A server that may not send for this
	// address has its mail taken for spam.
	From string `json:"from"`
}

// Load reads a configuration file. Code: mail-config-invalid.
func Load(file string) (Config, error) {
	var c Config
	raw, err := os.ReadFile(file)
	if err == nil && len(raw) > maxConfig {
		err = errors.New("it is too large")
	}
	if err == nil {
		err = yaml.UnmarshalStrict(raw, &c)
	}
	if err != nil {
		return Config{}, errConfig("%s cannot be read: %v", file, err)
	}
	for _, path := range []*string{&c.PasswordFile, &c.CAFile} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(file), *path)
		}
	}
	return c, nil
}

func errConfig(format string, args ...any) error {
	return fault.New(fault.Invalid, "mail-config-invalid", "the mail configuration cannot work: %s; see docs/howto/mail.md", fmt.Sprintf(format, args...))
}

// Message is what is sent.
type Message struct {
	To      string // one address, without a name
	Subject string
	Text    string // lines separated by "\n"
}

// CheckAddress fails with code mail-address-invalid unless s is one bare e-mail address that can be
// put into a header as it is.
func CheckAddress(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" || len(s) > 254 || strings.ContainsFunc(s, unfit) {
		return fault.New(fault.Invalid, "mail-address-invalid", "this is not an e-mail address; write it as name@example.com")
	}
	return nil
}

// unfit are characters that have no place in an address or a subject: with a line break in one, its
// author could write headers.
func unfit(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

func (m Message) check() error {
	if err := CheckAddress(m.To); err != nil {
		return err
	}
	if m.Subject == "" || len(m.Subject) > maxSubject || strings.ContainsFunc(m.Subject, unfit) || len(m.Text) > maxText {
		return errors.New("mail: the subject or the text of a message is unfit")
	}
	return nil
}

// Sender hands messages to one server. It is safe for concurrent use.
type Sender struct {
	host    string
	from    string
	options []gomail.Option
}

// New returns a sender, or fails with code mail-config-invalid when c cannot work. It
// does not connect: a mail server that is down must not keep this one from starting.
func New(c Config) (*Sender, error) {
	host, portText, err := net.SplitHostPort(c.Server)
	if err != nil || host == "" {
		return nil, errConfig("server is not host:port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, errConfig("the server's port is not a number")
	}
	if a, err := mail.ParseAddress(c.From); err != nil || strings.ContainsFunc(c.From, unfit) || CheckAddress(a.Address) != nil {
		return nil, errConfig("from is not an address such as Hullmark <hullmark@example.com>")
	}
	options := []gomail.Option{gomail.WithPort(int(port)), gomail.WithTimeout(sendTimeout)}
	security, err := c.security(host)
	if err != nil {
		return nil, err
	}
	login, err := c.login()
	if err != nil {
		return nil, err
	}
	return &Sender{host: host, from: c.From, options: append(append(options, security...), login...)}, nil
}

func (c Config) security(host string) ([]gomail.Option, error) {
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, errConfig("caFile cannot be read: %v", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errConfig("caFile holds no certificate")
		}
	}
	switch c.Security {
	case "", StartTLS:
		return []gomail.Option{gomail.WithTLSConfig(t), gomail.WithTLSPolicy(gomail.TLSMandatory)}, nil
	case TLS:
		return []gomail.Option{gomail.WithTLSConfig(t), gomail.WithSSL()}, nil
	case None:
		if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
			return nil, errConfig("security none would send recovery codes in clear over the network; it is for a server on this machine only")
		}
		return []gomail.Option{gomail.WithTLSPolicy(gomail.NoTLS)}, nil
	}
	return nil, errConfig("security is starttls, tls or none")
}

func (c Config) login() ([]gomail.Option, error) {
	if c.User == "" && c.PasswordFile == "" {
		return nil, nil
	}
	if c.User == "" || c.PasswordFile == "" || c.Security == None {
		return nil, errConfig("user and passwordFile go together, and need TLS")
	}
	password, err := durable.GivenSecret(c.PasswordFile)
	if err != nil {
		return nil, errConfig("passwordFile cannot be used: %v", err)
	}
	return []gomail.Option{
		gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(c.User), gomail.WithPassword(password),
	}, nil
}

// Send hands the message to the server and returns once that has taken it. [Permanent] says whether
// trying again is of any use.
func (s *Sender) Send(ctx context.Context, m Message) error {
	if err := m.check(); err != nil {
		return permanentError{err}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(s.from), msg.To(m.To)); err != nil {
		return permanentError{fmt.Errorf("mail: %w", err)}
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageID()
	// RFC 3834: no vacation notice answers what a machine sent.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	return nil
}

// permanentError marks what no second try can mend.
type permanentError struct{ error }

func (p permanentError) Unwrap() error { return p.error }

// Permanent reports whether err means that the message will never be taken: the server said so (5xx
// about the message, not about who sends it), or it is malformed.
func Permanent(err error) bool {
	if _, ok := errors.AsType[permanentError](err); ok {
		return true
	}
	sent, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return false
	}
	aboutMessage := sent.Reason == gomail.ErrSMTPRcptTo || sent.Reason == gomail.ErrSMTPData || sent.Reason == gomail.ErrSMTPDataClose
	return aboutMessage && !sent.IsTemp() && sent.ErrorCode() >= 500
}
