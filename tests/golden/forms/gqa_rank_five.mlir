// Form `gqa_rank_five`: Members of a group in a dim that K and V lack: the product with V has two rows, the last one of queries.
// Read as: full, 8 heads over 2 kv heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,8,63,40],f32>, %arg1: !torch.vtensor<[2,2,63,40],f32>, %arg2: !torch.vtensor<[2,2,63,40],f32>) -> !torch.vtensor<[2,2,4,63,40],f32> {
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,2,4,63,40],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.flatten.using_ints %1, %int1, %int2 : !torch.vtensor<[2,2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,8,63,40],f32>
    %3 = torch.aten.unsqueeze %arg1, %int2 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,1,63,40],f32>
    %4 = torch.aten.squeeze.dim %3, %int2 : !torch.vtensor<[2,2,1,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %5 = torch.aten.unsqueeze %arg2, %int2 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,1,63,40],f32>
    %6 = torch.aten.squeeze.dim %5, %int2 : !torch.vtensor<[2,2,1,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %7:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>) -> (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63],f32>) 
    %8 = torch.prim.ListConstruct %int2, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.unflatten.int %7#0, %int1, %8 : !torch.vtensor<[2,8,63,40],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[2,2,4,63,40],f32>
    return %9 : !torch.vtensor<[2,2,4,63,40],f32>
  }
}
