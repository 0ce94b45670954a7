// Form `grouped_row_terms`: Grouped heads, a term of the row and a number before the cap, a clamp after it, then a mask.
// Read as: causal, 4 heads over 2 kv heads, row term, softcap 4, clamped to at least -2, scale 0.3
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,51],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, causal_offset = 0, softcap = 4.0, score_min = -2.0, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,2,51,41],f32>, !torch.vtensor<[2,2,51,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,51],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,2,51,40],f32>, %arg1: !torch.vtensor<[2,2,51,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int-1 = torch.constant.int -1
    %0 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %1 = torch.aten.amax %arg2, %0, %true : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,1],f32>
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %2 = torch.aten.select.int %1, %int3, %int0 : !torch.vtensor<[2,4,63,1],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63],f32>
    %3 = torch.aten.unsqueeze %2, %int3 : !torch.vtensor<[2,4,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %4 = torch.aten.mul.Scalar %3, %int-1 : !torch.vtensor<[2,4,63,1],f32>, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %float2.500000e-01 = torch.constant.float 2.500000e-01
    %5 = torch.aten.mul.Scalar %4, %float2.500000e-01 : !torch.vtensor<[2,4,63,1],f32>, !torch.float -> !torch.vtensor<[2,4,63,1],f32>
    %float3.750000e-01 = torch.constant.float 3.750000e-01
    %int1 = torch.constant.int 1
    %6 = torch.aten.add.Scalar %5, %float3.750000e-01, %int1 : !torch.vtensor<[2,4,63,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %float4.000000e00 = torch.constant.float 4.000000e+00
    %7 = torch.aten.mul.Scalar %6, %float4.000000e00 : !torch.vtensor<[2,4,63,1],f32>, !torch.float -> !torch.vtensor<[2,4,63,1],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %8 = torch.aten.to.dtype %7, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,1],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,1],f32>
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %9 = torch.prim.ListConstruct %int2, %int4, %int63, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.expand %8, %9, %false : !torch.vtensor<[2,4,63,1],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,1],f32>
    %float3.000000e-01 = torch.constant.float 3.000000e-01
    %11 = torch.aten.mul.Scalar %arg2, %float3.000000e-01 : !torch.vtensor<[2,4,63,40],f32>, !torch.float -> !torch.vtensor<[2,4,63,40],f32>
    %12 = torch.prim.ListConstruct %11, %10 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,1],f32>) -> !torch.list<vtensor>
    %13 = torch.aten.cat %12, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,63,41],f32>
    %14 = torch.prim.ListConstruct %int0, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %str = torch.constant.str "constant"
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %15 = torch.aten.pad %arg0, %14, %str, %float1.000000e00 : !torch.vtensor<[2,2,51,40],f32>, !torch.list<int>, !torch.str, !torch.float -> !torch.vtensor<[2,2,51,41],f32>
    %16:2 = torch.operator "torch.hyper.attention"(query = %13, key = %15, value = %arg1, causal_offset = 0, softcap = 4.0, score_min = -2.0, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[2,4,63,41],f32>, !torch.vtensor<[2,2,51,41],f32>, !torch.vtensor<[2,2,51,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %16#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
