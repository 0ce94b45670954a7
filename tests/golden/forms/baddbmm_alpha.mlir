// Form `baddbmm_alpha`: Stable Diffusion of old: an empty input, beta=0.
// Read as: full, 4 heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,160],f32>, %arg1: !torch.vtensor<[2,63,160],f32>, %arg2: !torch.vtensor<[2,63,160],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %int2 = torch.constant.int 2
    %int63 = torch.constant.int 63
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int63, %int4, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.transpose.int %1, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %3 = torch.aten.view %arg1, %0 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %4 = torch.aten.transpose.int %3, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %5 = torch.aten.view %arg2, %0 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %6 = torch.aten.transpose.int %5, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %int0 = torch.constant.int 0
    %7:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %8 = torch.aten.flatten.using_ints %7#0, %int0, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,40],f32>
    %9 = torch.prim.ListConstruct %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.view %8, %9 : !torch.vtensor<[8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %11 = torch.aten.transpose.int %10, %int1, %int2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int160 = torch.constant.int 160
    %12 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %13 = torch.aten.reshape %11, %12 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %13 : !torch.vtensor<[2,63,160],f32>
  }
}
