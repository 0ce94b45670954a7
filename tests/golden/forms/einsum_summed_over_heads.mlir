// Form `einsum_summed_over_heads`: Scores summed over the heads too: one head of all features, whose values keep their heads.
// Read as: full, 1 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,4,40],f32>, %arg1: !torch.vtensor<[2,63,4,40],f32>, %arg2: !torch.vtensor<[2,63,4,40],f32>) -> !torch.vtensor<[2,63,4,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[2,63,4,40],f32>, !torch.int -> !torch.vtensor<[2,1,63,4,40],f32>
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %1 = torch.aten.flatten.using_ints %0, %int-2, %int-1 : !torch.vtensor<[2,1,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,1,63,160],f32>
    %2 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[2,63,4,40],f32>, !torch.int -> !torch.vtensor<[2,1,63,4,40],f32>
    %3 = torch.aten.flatten.using_ints %2, %int-2, %int-1 : !torch.vtensor<[2,1,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,1,63,160],f32>
    %4 = torch.aten.unsqueeze %arg2, %int1 : !torch.vtensor<[2,63,4,40],f32>, !torch.int -> !torch.vtensor<[2,1,63,4,40],f32>
    %5 = torch.aten.flatten.using_ints %4, %int-2, %int-1 : !torch.vtensor<[2,1,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,1,63,160],f32>
    %int0 = torch.constant.int 0
    %6:2 = torch.operator "torch.hyper.attention"(query = %1, key = %3, value = %5, algorithm = "exact") : (!torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>) -> (!torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63],f32>) 
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %7 = torch.prim.ListConstruct %int4, %int40 : (!torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.unflatten.int %6#0, %int-1, %7 : !torch.vtensor<[2,1,63,160],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[2,1,63,4,40],f32>
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %9 = torch.prim.ListConstruct %int0, %int2, %int3, %int4, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.permute %8, %9 : !torch.vtensor<[2,1,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40,1],f32>
    %11 = torch.aten.squeeze.dim %10, %int-1 : !torch.vtensor<[2,63,4,40,1],f32>, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    return %11 : !torch.vtensor<[2,63,4,40],f32>
  }
}
