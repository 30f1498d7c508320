package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hullmark/hullmark/"

// layers are the levels of the program, lowest first. A package may import packages of lower
// layers, and of its own layer only where siblings allows it.
var layers = []struct {
	name     string
	siblings bool
	folders  []string
}{
	{"ground floor", true, []string{"mail", "fault", "digest", "purl", "clock", "durable", "safearchive", "store", "blob", "job"}},
	{"log", false, []string{"tlog"}},
	{"record", false, []string{"evidence"}},
	{"stages", false, []string{"account", "publish", "registry", "signing", "image", "vuln", "policy", "trace", "recall", "behaviour", "rasp", "alert"}},
	{"gates", true, []string{"api", "console", "admission", "sensor", "fleet"}},
	{"app", false, []string{"app"}},
	{"command line", true, []string{"cli"}},
}

// place returns the layer and the folder of a package below internal/, or ok=false for test
// support and commands, which may import anything.
func place(pkg string) (layer int, folder string, ok bool) {
	rest, inside := strings.CutPrefix(pkg, module+"internal/")
	if !inside {
		return 0, "", false
	}
	folder, _, _ = strings.Cut(rest, "/")
	for i, l := range layers {
		if slices.Contains(l.folders, folder) {
			return i, folder, true
		}
	}
	return 0, folder, false
}

type source struct {
	pkg  string // import path
	file string // relative to the module
	ast  *ast.File
}

// sources parses every Go file of the module that people wrote.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != root || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(f) {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		out = append(out, source{pkg: strings.TrimSuffix(module+path.Dir(filepath.ToSlash(rel)), "/."), file: filepath.ToSlash(rel), ast: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(out))
	}
	return out
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }

func TestImportsFollowTheArrows(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		from, fromFolder, ok := place(s.pkg)
		if isTest(s.file) {
			continue
		}
		if !ok && strings.HasPrefix(s.pkg, module+"internal/") && fromFolder != "archtest" {
			t.Errorf("%s: folder internal/%s stands in no layer; give it one in archtest", s.file, fromFolder)
		}
		for _, imp := range s.ast.Imports {
			target, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			to, toFolder, known := place(target)
			if !ok || !known || fromFolder == toFolder {
				continue
			}
			if to > from {
				t.Errorf("%s (%s) imports %s (%s): against the arrows", s.file, layers[from].name, target, layers[to].name)
			}
			if to == from && !layers[from].siblings {
				t.Errorf("%s imports its sibling %s: %s meet through statements and small interfaces wired in internal/app",
					s.file, target, layers[from].name)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if isTest(s.file) && !documented[s.pkg] {
			if _, seen := documented[s.pkg]; !seen && onlyTests(t, s) {
				continue
			}
		}
		documented[s.pkg] = documented[s.pkg] || s.ast.Doc != nil && len(s.ast.Doc.Text()) > 60
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package doc that says what it is, why, and what it refuses to do", pkg)
		}
	}
}

func onlyTests(t *testing.T, s source) bool {
	entries, err := os.ReadDir(filepath.Join("..", "..", filepath.FromSlash(path.Dir(s.file))))
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasSuffix(e.Name(), ".go") && !isTest(e.Name())
	})
}

func TestEveryErrorCodeHasAPage(t *testing.T) {
	t.Parallel()
	codes := map[string]string{}
	for _, s := range sources(t) {
		if isTest(s.file) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if code, ok := faultCode(t, s, n); ok {
				codes[code] = s.file
			}
			return true
		})
	}
	if len(codes) < 10 {
		t.Fatalf("found only %d error codes: the search is broken", len(codes))
	}
	for code, file := range codes {
		page := filepath.Join("..", "..", "docs", "errors", code+".md")
		if info, err := os.Stat(page); err != nil || info.Size() < 100 {
			t.Errorf("%s uses error code %q, which has no page docs/errors/%s.md", file, code, code)
		}
	}
	pages, err := os.ReadDir(filepath.Join("..", "..", "docs", "errors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		code, isPage := strings.CutSuffix(p.Name(), ".md")
		if _, used := codes[code]; isPage && !used && code != "README" {
			t.Errorf("docs/errors/%s describes a code that nothing uses", p.Name())
		}
	}
}

// faultCode returns the code of a call of fault.New.
func faultCode(t *testing.T, s source, n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return "", false
	}
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		x, ok := fun.X.(*ast.Ident)
		if !ok || x.Name != "fault" || fun.Sel.Name != "New" {
			return "", false
		}
	case *ast.Ident:
		if fun.Name != "New" || s.ast.Name.Name != "fault" {
			return "", false
		}
	default:
		return "", false
	}
	lit, ok := call.Args[1].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		t.Errorf("%s: the code of fault.New must be a string literal", s.file)
		return "", false
	}
	code, err := strconv.Unquote(lit.Value)
	return code, err == nil
}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	t.Parallel()
	const maxFile, maxFunc = 500, 80
	for _, s := range sources(t) {
		raw, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(s.file)))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(raw), "\n"); lines > maxFile && !isTest(s.file) {
			t.Errorf("%s has %d lines; split it (at most %d)", s.file, lines, maxFile)
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || isTest(s.file) {
				continue
			}
			lines := strings.Count(string(raw[f.Pos()-s.ast.FileStart:f.End()-s.ast.FileStart]), "\n")
			if lines > maxFunc {
				t.Errorf("%s: %s has %d lines; split it (at most %d)", s.file, f.Name.Name, lines, maxFunc)
			}
		}
	}
}
