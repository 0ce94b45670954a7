// Form `row_term_in_float`: Scores in float32 of bfloat16 operands: the term keeps its digits, so the call is one of float32.
// Read as: full, 4 heads, row term, softcap 2, scale 0.125
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, softcap = 2.0, algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],bf16>, %arg1: !torch.vtensor<[2,4,63,40],bf16>, %arg2: !torch.vtensor<[2,4,63,40],bf16>) -> !torch.vtensor<[2,4,63,40],bf16> {
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %0 = torch.aten.to.dtype %arg1, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,40],f32>
    %int2 = torch.constant.int 2
    %int-1 = torch.constant.int -1
    %1 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %2 = torch.aten.linalg_vector_norm %0, %int2, %1, %true, %none : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,1],f32>
    %3 = torch.aten.to.dtype %arg1, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,40],f32>
    %4 = torch.aten.to.dtype %arg0, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,40],f32>
    %5 = torch.aten.to.dtype %arg2, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,40],f32>
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %6 = torch.aten.select.int %2, %int3, %int0 : !torch.vtensor<[2,4,63,1],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63],f32>
    %7 = torch.aten.unsqueeze %6, %int3 : !torch.vtensor<[2,4,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %8 = torch.aten.mul.Scalar %7, %int-1 : !torch.vtensor<[2,4,63,1],f32>, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %9 = torch.aten.mul.Scalar %8, %float5.000000e-01 : !torch.vtensor<[2,4,63,1],f32>, !torch.float -> !torch.vtensor<[2,4,63,1],f32>
    %float2.000000e00 = torch.constant.float 2.000000e+00
    %10 = torch.aten.mul.Scalar %9, %float2.000000e00 : !torch.vtensor<[2,4,63,1],f32>, !torch.float -> !torch.vtensor<[2,4,63,1],f32>
    %11 = torch.aten.to.dtype %10, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,1],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,1],f32>
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int1 = torch.constant.int 1
    %12 = torch.prim.ListConstruct %int2, %int4, %int63, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %13 = torch.aten.expand %11, %12, %false : !torch.vtensor<[2,4,63,1],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,1],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %14 = torch.aten.mul.Scalar %3, %float1.250000e-01 : !torch.vtensor<[2,4,63,40],f32>, !torch.float -> !torch.vtensor<[2,4,63,40],f32>
    %15 = torch.prim.ListConstruct %14, %13 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,1],f32>) -> !torch.list<vtensor>
    %16 = torch.aten.cat %15, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,63,41],f32>
    %17 = torch.prim.ListConstruct %int0, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %str = torch.constant.str "constant"
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %18 = torch.aten.pad %4, %17, %str, %float1.000000e00 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.str, !torch.float -> !torch.vtensor<[2,4,63,41],f32>
    %19:2 = torch.operator "torch.hyper.attention"(query = %16, key = %18, value = %5, softcap = 2.0, algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %int15 = torch.constant.int 15
    %20 = torch.aten.to.dtype %19#0, %int15, %false, %false, %none : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,40],bf16>
    return %20 : !torch.vtensor<[2,4,63,40],bf16>
  }
}
