package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/mail"
)

//go:embed letters
var letterFiles embed.FS

// otherLetter is for a notice that nobody has written a letter for.
const otherLetter = "other"

// maxForeign bounds a text in a letter that somebody else chose, in bytes.
const maxForeign = 120

// Letter is what an account is told by mail. Its words are ours: what others chose, such as a browser's
// name, stands in it short, on one line and without an address that a mail program would make a link.
func Letter(n account.Notice, url string) (mail.Message, error) {
	m, err := letterOf(n, url)
	if err != nil {
		return m, err
	}
	m.To = n.Address
	m.Text += fmt.Sprintf("\n-- \nHullmark at %s, about the account %s.\nNobody reads answers to this mail.\n", url, plain(n.Account))
	return m, nil
}

// letterOf returns subject and text. The first line of a letter's file is its subject.
func letterOf(n account.Notice, url string) (mail.Message, error) {
	file := "letters/" + n.Kind + ".txt"
	if _, err := fs.Stat(letterFiles, file); err != nil {
		file = "letters/" + otherLetter + ".txt"
	}
	t, err := template.New(path.Base(file)).Option("missingkey=zero").ParseFS(letterFiles, file)
	if err != nil {
		return mail.Message{}, fmt.Errorf("letter %s: %w", n.Kind, err)
	}
	data, err := letterData(n.Data)
	if err != nil {
		return mail.Message{}, fmt.Errorf("letter %s: %w", n.Kind, err)
	}
	data["Kind"], data["Account"], data["URL"], data["When"] = plain(n.Kind), plain(n.Account), url, when(n.Created)
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return mail.Message{}, fmt.Errorf("letter %s: %w", n.Kind, err)
	}
	subject, text, _ := strings.Cut(b.String(), "\n")
	return mail.Message{Subject: strings.TrimSpace(subject), Text: strings.TrimLeft(text, "\n")}, nil
}

// letterData are a notice's members as texts that are safe in a letter.
func letterData(raw json.RawMessage) (map[string]string, error) {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if len(raw) > 0 {
		if err := d.Decode(&members); err != nil {
			return nil, err
		}
	}
	data := make(map[string]string, len(members)+4)
	for name, v := range members {
		switch v := v.(type) {
		case []any:
			texts := make([]string, len(v))
			for i, one := range v {
				texts[i] = plain(fmt.Sprint(one))
			}
			data[name] = strings.Join(texts, ", ")
		case bool:
			if v {
				data[name] = "yes"
			}
		case nil:
		default:
			data[name] = plain(fmt.Sprint(v))
		}
	}
	return data, nil
}

// plain bounds a foreign text, keeps it on its line, and breaks what a mail program would take for a link.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
	s = strings.NewReplacer("://", ": //", "www.", "www .").Replace(s)
	if len(s) > maxForeign {
		s = strings.ToValidUTF8(s[:maxForeign], "") + "…"
	}
	return s
}
