package cel

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// catalogue knows the Go structs that expressions may look into. cel-go's own support for native types
// resolves fields by name at every access; here a field's path is found once, when types are declared.
// Their names are none that an expression could spell: expressions read records and make none.
type catalogue struct {
	types.Provider // the standard types
	types.Adapter
	byName map[string]*structType
	byType map[reflect.Type]*structType
	// params are those of one policy, or nil.
	params map[string]*types.FieldType
}

type structType struct {
	name   string
	cel    *types.Type
	fields map[string]*types.FieldType
	order  []string
}

const paramsType = "params struct"

func newCatalogue() (*catalogue, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return &catalogue{Provider: registry, Adapter: registry,
		byName: map[string]*structType{}, byType: map[reflect.Type]*structType{}}, nil
}

// withParams returns a catalogue that also knows a policy's parameters, each by the type of its value.
func (c *catalogue) withParams(params map[string]any) (*catalogue, error) {
	out := *c
	out.params = map[string]*types.FieldType{}
	for name, value := range params {
		t, err := paramType(value)
		if err != nil {
			return nil, fmt.Errorf("params.%s: %w", name, err)
		}
		out.params[name] = &types.FieldType{Type: t,
			IsSet:   func(any) bool { return true },
			GetFrom: func(obj any) (any, error) { return obj.(map[string]any)[name], nil }}
	}
	return &out, nil
}

func paramType(value any) (*types.Type, error) {
	switch v := value.(type) {
	case string:
		return types.StringType, nil
	case bool:
		return types.BoolType, nil
	case int64:
		return types.IntType, nil
	case float64:
		return types.DoubleType, nil
	case []string:
		return types.NewListType(types.StringType), nil
	case []int64:
		return types.NewListType(types.IntType), nil
	default:
		return nil, fmt.Errorf("a parameter cannot be a %T", v)
	}
}

// declare returns the CEL type of a Go type, declaring structs as it meets them.
func (c *catalogue) declare(t reflect.Type) (*types.Type, error) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return types.TimestampType, nil
	case reflect.TypeFor[ir.Age]():
		return types.DurationType, nil
	case reflect.TypeFor[map[string]any]():
		return types.NewObjectType(paramsType), nil
	}
	switch t.Kind() {
	case reflect.String:
		return types.StringType, nil
	case reflect.Bool:
		return types.BoolType, nil
	case reflect.Int, reflect.Int64:
		return types.IntType, nil
	case reflect.Slice:
		elem, err := c.declare(t.Elem())
		return types.NewListType(elem), err
	case reflect.Map:
		elem, err := c.declare(t.Elem())
		return types.NewMapType(types.StringType, elem), err
	case reflect.Pointer:
		return c.declare(t.Elem())
	case reflect.Struct:
		return c.declareStruct(t)
	default:
		return nil, fmt.Errorf("%s has no counterpart in CEL", t)
	}
}

func (c *catalogue) declareStruct(t reflect.Type) (*types.Type, error) {
	if s, ok := c.byType[t]; ok {
		return s.cel, nil
	}
	name := noun(t) + " struct"
	if _, taken := c.byName[name]; taken {
		return nil, fmt.Errorf("two types are called %s", name)
	}
	s := &structType{name: name, cel: types.NewObjectType(name), fields: map[string]*types.FieldType{}}
	c.byType[t], c.byName[name] = s, s
	return s.cel, c.declareFields(s, t, nil)
}

// noun is what people call a value of a type: a componentView is a component.
func noun(t reflect.Type) string { return strings.ToLower(strings.TrimSuffix(t.Name(), "View")) }

// declareFields adds the fields of t, which is found at path below s. Own fields come before those of
// embedded structs, so that they shadow them as in Go.
func (c *catalogue) declareFields(s *structType, t reflect.Type, path []int) error {
	var embedded []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			embedded = append(embedded, f)
			continue
		}
		if _, shadowed := s.fields[name]; shadowed || name == "" || name == "-" {
			continue
		}
		typ, err := c.declare(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		s.fields[name] = field(typ, strings.TrimSuffix(s.name, " struct"), name, append(path[:len(path):len(path)], i))
		s.order = append(s.order, name)
	}
	for _, f := range embedded {
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if err := c.declareFields(s, inner, append(path[:len(path):len(path)], f.Index...)); err != nil {
			return err
		}
	}
	return nil
}

// field reads one field by its path. What is not known is absent, and reading it is an error.
func field(t *types.Type, owner, name string, path []int) *types.FieldType {
	at := func(obj any) reflect.Value { return reflect.ValueOf(obj).Elem().FieldByIndex(path) }
	return &types.FieldType{
		Type: t,
		IsSet: func(obj any) bool {
			v := at(obj)
			if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
				return v.Len() > 0
			}
			return !v.IsZero()
		},
		GetFrom: func(obj any) (any, error) {
			v := at(obj)
			if v.Kind() == reflect.Struct {
				return readStruct(v.Addr().Interface(), owner, name)
			}
			if v.Kind() == reflect.String {
				return v.String(), nil
			}
			return v.Interface(), nil
		},
	}
}

func readStruct(ptr any, owner, name string) (any, error) {
	switch p := ptr.(type) {
	case *time.Time:
		if p.IsZero() {
			return nil, fmt.Errorf("the %s of this %s is not known", name, owner)
		}
		return *p, nil
	case *ir.Age:
		if !p.Known {
			return nil, fmt.Errorf("the %s of this %s is not known", name, owner)
		}
		return p.Duration, nil
	}
	return ptr, nil
}

// FindStructType implements types.Provider.
func (c *catalogue) FindStructType(name string) (*types.Type, bool) {
	if s, ok := c.byName[name]; ok {
		return types.NewTypeTypeWithParam(s.cel), true
	}
	if name == paramsType && c.params != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(paramsType)), true
	}
	return c.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (c *catalogue) FindStructFieldNames(name string) ([]string, bool) {
	if s, ok := c.byName[name]; ok {
		return s.order, true
	}
	return c.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (c *catalogue) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	if s, ok := c.byName[name]; ok {
		f, found := s.fields[fieldName]
		return f, found
	}
	if name == paramsType && c.params != nil {
		f, found := c.params[fieldName]
		return f, found
	}
	return c.Provider.FindStructFieldType(name, fieldName)
}

// NativeToValue implements types.Adapter.
func (c *catalogue) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case ref.Val:
		return v
	case string, bool, int64, int, time.Time, time.Duration, []string, map[string]string:
		return c.Adapter.NativeToValue(v)
	}
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() == reflect.Pointer:
		if s, ok := c.byType[v.Type().Elem()]; ok {
			return object{ptr: value, t: s}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		if s, ok := c.byType[v.Type().Elem()]; ok {
			return c.list(v, s)
		}
	}
	return c.Adapter.NativeToValue(value)
}

func (c *catalogue) list(v reflect.Value, s *structType) ref.Val {
	elems := make([]ref.Val, v.Len())
	objects := make([]object, v.Len())
	for i := range elems {
		objects[i] = object{ptr: v.Index(i).Addr().Interface(), t: s}
		elems[i] = &objects[i]
	}
	return types.NewRefValList(c, elems)
}

// object is a struct as a CEL value.
type object struct {
	ptr any
	t   *structType
}

// ConvertToNative implements ref.Val.
func (o object) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(o.ptr) == t {
		return o.ptr, nil
	}
	return nil, fmt.Errorf("a %s is not a %s", o.t.name, t)
}

// ConvertToType implements ref.Val.
func (o object) ConvertToType(t ref.Type) ref.Val {
	if t.TypeName() == o.t.name {
		return o
	}
	return types.NewErr("a %s is not a %s", o.t.name, t.TypeName())
}

// Equal implements ref.Val.
func (o object) Equal(other ref.Val) ref.Val {
	return types.Bool(reflect.DeepEqual(o.ptr, other.Value()))
}

// Type implements ref.Val.
func (o object) Type() ref.Type { return o.t.cel }

// Value implements ref.Val.
func (o object) Value() any { return o.ptr }
