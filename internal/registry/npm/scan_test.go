package npm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hullmark/hullmark/internal/fault"
)

// scanned runs the scanner and keeps what it diverts.
func scanned(doc io.Reader, limit int) (string, map[string]string, error) {
	attachments := map[string]string{}
	out, err := scanDocument(doc, limit, nil, func(name string, data io.Reader) error {
		b, err := io.ReadAll(data)
		attachments[name] = string(b)
		return err
	})
	return string(out), attachments, err
}

func TestScannerTakesAttachmentsOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, doc, want, data string }{
		{"attachments at the end", `{"name":"a","_attachments":{"a.tgz":{"content_type":"x","data":"QUJD","length":3}}}`,
			`{"name":"a","_attachments":{"a.tgz":{"content_type":"x","data":"","length":3}}}`, "QUJD"},
		{"attachments first, with white space", "{ \"_attachments\" : {\n\"a.tgz\": { \"data\" : \"QUJD\" } } , \"name\":\"a\"}",
			"{ \"_attachments\" : {\n\"a.tgz\": { \"data\" : \"\" } } , \"name\":\"a\"}", "QUJD"},
		{"escaped keys and data", `{"\u005fattachments":{"a\u002etgz":{"d\u0061ta":"\/\u002bAA\n"}}}`,
			`{"\u005fattachments":{"a\u002etgz":{"d\u0061ta":""}}}`, "/+AA\n"},
		{"data that is no string stays", `{"_attachments":{"a.tgz":{"data":{"data":"x"}}}}`,
			`{"_attachments":{"a.tgz":{"data":{"data":"x"}}}}`, ""},
		{"data elsewhere stays", `{"versions":{"1":{"data":"x"}},"x":[{"_attachments":{"a":{"data":"y"}}}]}`,
			`{"versions":{"1":{"data":"x"}},"x":[{"_attachments":{"a":{"data":"y"}}}]}`, ""},
		{"a value that reads like the key stays", `{"x":"_attachments","a.tgz":{"y":{"z":"data","w":"v"}}}`,
			`{"x":"_attachments","a.tgz":{"y":{"z":"data","w":"v"}}}`, ""},
		{"quotes and brackets inside strings are text", `{"a":"\"}{[","_attachments":{"a.tgz":{"a":"\\","data":"QQ"}}}`,
			`{"a":"\"}{[","_attachments":{"a.tgz":{"a":"\\","data":""}}}`, "QQ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for way, r := range map[string]io.Reader{"whole": strings.NewReader(c.doc), "byte by byte": iotest.OneByteReader(strings.NewReader(c.doc))} {
				got, attachments, err := scanned(r, 1<<20)
				if err != nil || got != c.want || attachments["a.tgz"] != c.data {
					t.Errorf("%s: got %s with %q and %v, want %s with %q", way, got, attachments, err, c.want, c.data)
				}
			}
		})
	}
}

func TestScannerRefusesWhatIsAmbiguousOrTooLarge(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", maxDepth+1)
	for _, c := range []struct{ name, doc, code string }{
		{"two attachments of one name", `{"_attachments":{"a":{"data":"x"},"a":{"data":"y"}}}`, "body-malformed"},
		{"data twice", `{"_attachments":{"a":{"data":"x","data":"y"}}}`, "body-malformed"},
		{"_attachments twice", `{"_attachments":{},"_attachments":{}}`, "body-malformed"},
		{"an end in the middle of a string", `{"name":"a`, "body-malformed"},
		{"an end in the middle of data", `{"_attachments":{"a":{"data":"QUJD`, "body-malformed"},
		{"an end in the middle of an escape", `{"_attachments":{"a":{"data":"\u00`, "body-malformed"},
		{"an escape beyond ASCII in data", `{"_attachments":{"a":{"data":"\u20ac"}}}`, "body-malformed"},
		{"an unknown escape in data", `{"_attachments":{"a":{"data":"\q"}}}`, "body-malformed"},
		{"an open bracket", `{"a":[1`, "body-malformed"},
		{"a bracket too many", `{}}`, "body-malformed"},
		{"too deep", deep, "body-malformed"},
		{"too long", `{"name":"` + strings.Repeat("a", 1000) + `"}`, "body-too-large"},
		{"too much white space", strings.Repeat(" ", 2000), "body-too-large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := scanned(strings.NewReader(c.doc), 500)
			if got := fault.As(err).Code; err == nil || got != c.code {
				t.Errorf("got %v (%s), want code %s", err, got, c.code)
			}
		})
	}
}

func TestScannerHoldsNoAttachmentInMemory(t *testing.T) {
	data := strings.Repeat("QUJD", 8<<20)
	doc := `{"_attachments":{"a.tgz":{"data":"` + data + `"}}}`
	perRun := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, err := scanDocument(strings.NewReader(doc), 1<<10, nil, func(_ string, r io.Reader) error {
				_, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, r))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	if got := perRun.AllocedBytesPerOp(); got > 1<<20 {
		t.Errorf("scanning 32 MiB of attachment allocated %d bytes", got)
	}
}

func TestScannerReportsTheCallbacksOwnError(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	_, err := scanDocument(strings.NewReader(`{"_attachments":{"a":{"data":"x"}}}`), 100, nil, func(string, io.Reader) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// FuzzScanDocument compares with encoding/json: a document that is JSON comes out as the same
// document without its attachments' data; what is not JSON is refused or comes out as not JSON.
func FuzzScanDocument(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a","_attachments":{"a.tgz":{"data":"QUJD","length":3}}}`, `{"_attachments":{"a":{"data":"\u0041"}}}`, `[1,{"a":"b\\"}]`,
		`{"_attachments":{"a":{"data":1},"b":[{"data":"x"}]}}`, `{"a":{"b":{"data":"x"}}}`, `"\""`, `{"_attachments":[{"data":"x"}]}`, `nul`,
		`{"a" "data":"x"}`, `{"_attachments":{"a":{"x":1,"data":"\u20ac"}}}`, `{"a":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, attachments, err := scanned(bytes.NewReader(doc), 1<<20)
		if !json.Valid(doc) {
			if err == nil && json.Valid([]byte(out)) {
				t.Fatalf("%q is not JSON and %q is", doc, out)
			}
			return
		}
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		var want, got any
		if err := errors.Join(json.Unmarshal(doc, &want), json.Unmarshal([]byte(out), &got)); err != nil {
			t.Fatal(err)
		}
		if err := blank(want, attachments); err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q", doc, out)
		}
	})
}

// blank empties the data strings of a decoded document, as the scanner should have, and compares
// them with what it diverted.
func blank(doc any, diverted map[string]string) error {
	root, _ := doc.(map[string]any)
	list, _ := root["_attachments"].(map[string]any)
	for name, one := range list {
		attachment, _ := one.(map[string]any)
		data, isText := attachment["data"].(string)
		if !isText {
			continue
		}
		if diverted[name] != data {
			return fmt.Errorf("attachment %q: diverted %q, want %q", name, diverted[name], data)
		}
		attachment["data"] = ""
	}
	return nil
}
