package cel

import (
	"strings"

	"github.com/google/cel-go/common/types"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// Field is something that an expression may read.
type Field struct {
	Path string `json:"path"` // "record.contents.components[].purl"
	Type string `json:"type"` // as CEL names it
}

// Describe lists the variables and, for those that are structs, all of their fields.
func Describe(vars []ir.Variable) ([]Field, error) {
	known, err := newCatalogue()
	if err != nil {
		return nil, err
	}
	var out []Field
	for _, v := range vars {
		t, err := known.declare(v.Type)
		if err != nil {
			return nil, err
		}
		out = known.describe(out, v.Name, t)
	}
	return out, nil
}

func (c *catalogue) describe(out []Field, path string, t *types.Type) []Field {
	elem := t
	if t.Kind() == types.ListKind {
		elem, path = t.Parameters()[0], path+"[]"
	}
	s, isStruct := c.byName[elem.TypeName()]
	if !isStruct {
		name := strings.ReplaceAll(t.String(), "google.protobuf.", "")
		if elem.TypeName() == paramsType {
			name = "the policy's parameters"
		}
		return append(out, Field{Path: strings.TrimSuffix(path, "[]"), Type: name})
	}
	for _, name := range s.order {
		out = c.describe(out, path+"."+name, s.fields[name].Type)
	}
	return out
}
