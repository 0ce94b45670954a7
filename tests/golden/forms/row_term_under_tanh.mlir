// Form `row_term_under_tanh`: What is added to all keys alike does matter where a tanh follows: it becomes one more feature.
// Read as: full, 4 heads, row term, softcap 20, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, softcap = 20.0, algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %0 = torch.aten.select.int %arg1, %int3, %int0 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63],f32>
    %1 = torch.aten.unsqueeze %0, %int3 : !torch.vtensor<[2,4,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %float5.000000e-02 = torch.constant.float 5.000000e-02
    %2 = torch.aten.mul.Scalar %1, %float5.000000e-02 : !torch.vtensor<[2,4,63,1],f32>, !torch.float -> !torch.vtensor<[2,4,63,1],f32>
    %float2.000000e01 = torch.constant.float 2.000000e+01
    %3 = torch.aten.mul.Scalar %2, %float2.000000e01 : !torch.vtensor<[2,4,63,1],f32>, !torch.float -> !torch.vtensor<[2,4,63,1],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %4 = torch.aten.to.dtype %3, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,1],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,1],f32>
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int1 = torch.constant.int 1
    %5 = torch.prim.ListConstruct %int2, %int4, %int63, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.expand %4, %5, %false : !torch.vtensor<[2,4,63,1],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,1],f32>
    %7 = torch.prim.ListConstruct %arg1, %6 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,1],f32>) -> !torch.list<vtensor>
    %int-1 = torch.constant.int -1
    %8 = torch.aten.cat %7, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,63,41],f32>
    %9 = torch.prim.ListConstruct %int0, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %str = torch.constant.str "constant"
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %10 = torch.aten.pad %arg0, %9, %str, %float1.000000e00 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.str, !torch.float -> !torch.vtensor<[2,4,63,41],f32>
    %11:2 = torch.operator "torch.hyper.attention"(query = %8, key = %10, value = %arg2, softcap = 20.0, algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %11#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
