use super::super::tree::{FunctionKind, Initial, Item, Operand, Statement, Variable};
use super::*;

const KERNEL: &str = "
.version 9.0
.target sm_75
.address_size 64
.file 1 \"a.cu\"
.global .align 8 .u64 table[2] = {message, generic(message)+2};
.global .align 1 .b8 message[3] = {104, 105};
.extern .shared .align 16 .b8 room[];
.func (.param .b64 out) helper(.param .b64 in) { ret; }
.visible .entry k(
    .param .u64 k_param_0,
    .param .align 8 .b8 k_param_1[16]
)
.maxntid 128, 2
{
    .reg .pred %p<3>;
    .reg .b32 %r<4>, x;
    .loc 1 12 7, function_name $L__info, inlined_at 1 4 3
    @!%p1 bra $L_end;
    { .reg .b16 h; mov.b32 {h, _}, %r1; }
    shfl.sync.bfly.b32 %r1|%p2, %r2, 16, WARP_SZ, -1;
    ld.global.v2.u32 {%r1, %r2}, [%rd1+-8];
    call.uni (out), helper, (in);
    mov.u32 %r3, %tid.x;
$L_end:
    ret;
}
.section .debug_str { $L__info: .b8 95, 0 }
";

fn body<'a>(module: &'a Module<'a>) -> &'a [Statement<'a>] {
    let Some(Item::Function(function)) = module.items.last() else { panic!("no function") };
    assert_eq!((function.kind, function.name, function.limits.most), (FunctionKind::Entry, "k", Some([128, 2, 1])));
    function.body.as_deref().unwrap()
}

#[test]
fn a_kernel_is_read_as_it_stands() {
    let module = parse(KERNEL).unwrap();
    assert_eq!((module.version, module.files.as_slice()), (Some((9, 0)), [(1, "a.cu")].as_slice()));
    let text: Vec<String> = body(&module)
        .iter()
        .filter_map(|statement| match statement {
            Statement::Instruction(it) => {
                Some(format!("{:?} {} {:?} {:?}", it.guard, it.opcode, it.modifiers, it.operands))
            }
            _ => None,
        })
        .collect();
    assert_eq!(text[0], r#"Some(("%p1", true)) bra [] [Name("$L_end")]"#);
    assert!(
        text[1].contains("Pair(Name(\"%r1\"), Name(\"%p2\"))") && text[1].ends_with("Integer(18446744073709551615)]")
    );
    assert!(text[2].ends_with("Address(Name(\"%rd1\"), -8)]"));
    assert!(text[3].ends_with("[List([Name(\"out\")]), Name(\"helper\"), List([Name(\"in\")])]"));
    assert!(text[4].ends_with("Member(\"%tid\", \"x\")]"));
    assert!(body(&module).iter().any(|it| matches!(it, Statement::Location { file: 1, line: 12 })));
}

#[test]
fn variables_keep_their_values() {
    let module = parse(KERNEL).unwrap();
    let Some(Item::Variable(Variable { initial, align: 8, count: Some(2), .. })) = module.items.first() else {
        panic!("{:?}", module.items.first())
    };
    assert_eq!(initial, &[Initial::Address("message", 0), Initial::Address("message", 2)]);
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = ".version 9.0\n.entry k()\n{\n  mov.u32 ,;\n  .reg .q32 x;\n  ret;\n}\n.entry 7\n";
    let problems = parse(text).unwrap_err();
    let said: Vec<String> = problems.iter().map(|it| format!("{}:{} {}", it.at.line, it.at.column, it.words)).collect();
    assert_eq!(
        said,
        [
            "4:11 `,` where an operand belongs",
            "5:8 `.q32` where a type of registers belongs",
            "8:8 `7` where a name belongs"
        ]
    );
}

#[test]
fn nothing_makes_it_panic() {
    for text in ["", ".", ".version", ".entry", ".entry k(){", "{", ".entry k(){ld.u32 [", ".entry k(){mov {{{{{{", "@"]
    {
        drop(parse(text));
    }
    let deep = format!(".version 9.0 .entry k() {}", "{".repeat(5000));
    assert!(parse(&deep).is_err());
    for end in 0..KERNEL.len() {
        drop(parse(&KERNEL[..end]));
    }
    assert_eq!(parse("[+1]").unwrap_err().len(), 1);
}

#[test]
fn operands_have_the_shape_of_the_text() {
    let module = parse(".version 6.3\n.entry k() { mov.u64 %rd1, table+8; mov.f32 f, -0f3F800000; }").unwrap();
    let Some(Item::Function(function)) = module.items.first() else { panic!("no function") };
    let Some([Statement::Instruction(first), Statement::Instruction(second)]) = function.body.as_deref() else {
        panic!("not two instructions")
    };
    assert_eq!(first.operands[1], Operand::Address(Box::new(Operand::Name("table")), 8));
    assert_eq!(second.operands[1], Operand::Single(0xbf80_0000));
}
